//! Asks the directory who somebody is, where `anteroom user add` was not told.

use crate::config::{Config, DirectoryTarget};
use crate::primary::directory::Directory;
use crate::primary::{IdentifyError, Identity, Primary};

/// The directory of that name, or the only one.
pub(super) fn choose_target<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a DirectoryTarget, String> {
    let known = || config.targets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => {
            config.targets.get(name).ok_or_else(|| format!("there is no target {name:?}; one of: {}", known()))
        }
        None if config.targets.len() == 1 => {
            config.targets.values().next().ok_or_else(|| "the configuration has no target".into())
        }
        None if config.targets.is_empty() => Err("the configuration has no target; give --unique-id".into()),
        None => Err(format!("which directory? Give --target, one of: {}", known())),
    }
}

/// Asks the directory who `name` is.
pub(super) async fn resolve_in_directory(target: &DirectoryTarget, name: &str) -> Result<Identity, String> {
    let directory = Directory::new(target).map_err(|error| format!("target {:?}: {error}", target.name))?;
    let deadline = std::time::Instant::now() + target.connect_timeout + target.timeout;
    let advice = match directory.identify(name, deadline).await {
        Ok(identity) => return Ok(identity),
        Err(IdentifyError::Unknown) => "knows nobody of that name; see its base, filter and name_attributes",
        Err(IdentifyError::Ambiguous) => "knows several of that name; give the UPN or DOMAIN\\name",
        Err(IdentifyError::Fault(_)) => "cannot be asked now; run `anteroom check`, or give --unique-id",
    };
    Err(format!("the directory of target {:?} {advice} ({:?})", target.name, name))
}
