//! What stands behind Anteroom, of a configuration: directories, RADIUS servers, and what asks them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AppError, random};
use crate::config::Config;
use crate::primary::Primary;
use crate::primary::directory::Directory;
use crate::primary::none::Authorizer;
use crate::primary::radius::Radius;
use crate::signin::reception::Target;
use crate::users::store::Store;

/// Each directory by name, and whether it takes DNs from the store.
pub(crate) type Directories = Vec<(String, Arc<Directory>, bool)>;

/// Every directory of a configuration. None is asked yet.
pub(crate) fn directories(config: &Config) -> Result<Directories, AppError> {
    let made = config.targets.iter().map(|(name, target)| {
        let directory = Directory::new(target).map_err(|error| AppError(format!("target {name:?}: {error}")))?;
        let directory = directory.asking_for(config.details(name));
        Ok((name.clone(), Arc::new(directory), target.dn_from_store))
    });
    made.collect()
}

/// Each target of RADIUS servers by name.
pub(crate) type RadiusTargets = Vec<(String, Arc<Radius>)>;

/// Every target of RADIUS servers of a configuration. None is asked yet.
pub(crate) fn radius_targets(config: &Config, store: &Arc<dyn Store>) -> Result<RadiusTargets, AppError> {
    let random = random()?;
    let made = config.radius_targets.iter().map(|(name, target)| {
        let made = Radius::new(target, Arc::clone(store), random);
        Ok((name.clone(), Arc::new(made.map_err(|why| AppError(format!("target {name:?}: {why}")))?)))
    });
    made.collect()
}

/// The targets as sign-ins use them.
pub(crate) fn targets(config: &Config, directories: &Directories, radius: &RadiusTargets) -> BTreeMap<String, Target> {
    let target = |(name, directory, dn_from_store): &(String, Arc<Directory>, bool)| {
        (name.clone(), Target { primary: directory.clone(), dn_from_store: *dn_from_store })
    };
    let handed = radius.iter().map(|(name, radius)| {
        (name.clone(), Target { primary: Arc::clone(radius) as Arc<dyn Primary>, dn_from_store: false })
    });
    let authorizing = config.authorizing.iter().filter_map(|(name, target)| {
        let (_, directory, _) = directories.iter().find(|(name, _, _)| *name == target.directory)?;
        let primary = Arc::new(Authorizer::new(target, Arc::clone(directory)));
        Some((name.clone(), Target { primary, dn_from_store: false }))
    });
    directories.iter().map(target).chain(authorizing).chain(handed).collect()
}
