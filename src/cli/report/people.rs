//! What the user store has of the people of a report today: the old server's reports named people with all of it.

use std::collections::HashMap;

use crate::users::profile::Profile;
use crate::users::roster::Roster;
use crate::users::store::StoreResult;

/// The columns.
pub(super) const PERSON: [&str; 11] = [
    "first_name",
    "last_name",
    "email",
    "group",
    "mode",
    "language",
    "phone",
    "extension",
    "backup_phone",
    "backup_extension",
    "devices",
];

/// The people of one page of a report.
pub(super) struct People(HashMap<String, Vec<Option<String>>>);

impl People {
    /// Those with these unique ids, as far as they are in the store.
    pub(super) async fn of<'a>(
        store: &dyn Roster,
        unique_ids: impl Iterator<Item = Option<&'a String>>,
    ) -> StoreResult<People> {
        let mut wanted: Vec<String> = unique_ids.flatten().cloned().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut people = HashMap::with_capacity(wanted.len());
        for profile in store.profiles_of(&wanted).await? {
            let devices = store.devices(&profile.person.unique_id).await?;
            let devices: Vec<String> =
                devices.iter().map(|device| format!("{} ({})", device.name, device.kind)).collect();
            let devices = Some(devices.join(", ")).filter(|devices| !devices.is_empty());
            people.insert(profile.person.unique_id.clone(), cells(profile, devices));
        }
        Ok(People(people))
    }

    /// The cells of one of them; empty ones for who is not in the store.
    pub(super) fn cells(&self, unique_id: Option<&String>) -> Vec<Option<String>> {
        let found = unique_id.and_then(|unique_id| self.0.get(unique_id));
        found.cloned().unwrap_or_else(|| vec![None; PERSON.len()])
    }
}

fn cells(profile: Profile, devices: Option<String>) -> Vec<Option<String>> {
    let Profile { person, group, backup_phone, backup_extension, .. } = profile;
    vec![
        person.first_name,
        person.last_name,
        person.email,
        group,
        Some(person.mode.to_string()),
        Some(person.language),
        person.phone,
        person.phone_extension,
        backup_phone,
        backup_extension,
        devices,
    ]
}
