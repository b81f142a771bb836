//! What `anteroom check` says of a target of type `none` and of `[[reply]]`: whether the directory has the groups that they
//! name, and whether the service account may read of accounts what must be known.

use std::time::Instant;

use super::Finding;
use crate::config::{AuthorizingTarget, Client, DirectoryTarget};
use crate::primary::directory::Directory;

/// One finding for the account's attributes, and one for each group that is not there.
pub async fn policies(target: &AuthorizingTarget, directory: &DirectoryTarget) -> Vec<Finding> {
    let what = format!("target {}", target.name);
    let asked = match Directory::new(directory) {
        Ok(asked) => asked,
        // Told of the directory itself.
        Err(_) => return Vec::new(),
    };
    let deadline = || Instant::now() + directory.connect_timeout + directory.timeout;
    let mut findings = Vec::new();
    match asked.reads_accounts(&directory.bind_name, deadline()).await {
        Ok(true) => findings.push(Finding::ok(what.clone(), "the directory says whether an account may sign in")),
        Ok(false) => findings.push(Finding::fail(
            what.clone(),
            format!("{} does not say whether an account may sign in", directory.name),
            "let its service account read userAccountControl, msDS-User-Account-Control-Computed, accountExpires, \
             logonHours and pwdLastSet of people",
        )),
        Err(fault) => {
            let advice = format!("see what is said of target {}", directory.name);
            findings.push(Finding::fail(what, format!("{} cannot be asked: {fault:?}", directory.name), advice));
            return findings;
        }
    }
    for policy in &target.policies {
        for group in policy.groups.iter().chain(&policy.computer_groups) {
            let what = format!("target {} policy {}", target.name, policy.name);
            findings.extend(absent(what, &asked, group, deadline()).await);
        }
    }
    findings
}

/// What a client's `[[reply]]` sections need of a directory: one finding for each section, and one for each group that is
/// not there.
pub async fn replies(client: &Client, directory: &DirectoryTarget) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Ok(asked) = Directory::new(directory) else { return findings };
    for section in client.reply.iter().flat_map(|reply| &reply.sections) {
        let what = format!("client {} reply {}", client.name, section.name);
        let mut absentees = Vec::new();
        for group in &section.groups {
            let deadline = Instant::now() + directory.connect_timeout + directory.timeout;
            absentees.extend(absent(what.clone(), &asked, group, deadline).await);
        }
        if absentees.is_empty() {
            let names: Vec<&str> = section.attributes.iter().map(|template| template.attribute.name()).collect();
            let whom = if section.is_for_everybody() { "everybody" } else { "whom it names" };
            findings.push(Finding::ok(what, format!("for {whom}: {}", names.join(", "))));
        }
        findings.extend(absentees);
    }
    findings
}

/// A finding, where a group is not in the directory.
async fn absent(what: String, directory: &Directory, group: &str, deadline: Instant) -> Option<Finding> {
    match directory.has(group, deadline).await {
        Ok(true) => None,
        Ok(false) => {
            let advice = "nobody is in it: correct its distinguished name";
            Some(Finding::fail(what, format!("there is no group {group:?}"), advice))
        }
        Err(fault) => Some(Finding::warn(what, format!("{group:?} cannot be looked up: {fault:?}"), "")),
    }
}
