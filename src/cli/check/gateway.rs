//! What `anteroom check` says of a target of type `none`: whether the directory has the groups that its policies name,
//! and whether the service account may read of accounts what must be known.

use std::time::Instant;

use super::Finding;
use crate::config::{AuthorizingTarget, DirectoryTarget};
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
            match asked.has(group, deadline()).await {
                Ok(true) => {}
                Ok(false) => {
                    let advice = "nobody is in it: correct its distinguished name";
                    findings.push(Finding::fail(what, format!("there is no group {group:?}"), advice));
                }
                Err(fault) => {
                    findings.push(Finding::warn(what, format!("{group:?} cannot be looked up: {fault:?}"), ""));
                }
            }
        }
    }
    findings
}
