//! `anteroom user device`: the apps of a person. Their tokens come from standard input, never from the command line, where
//! everybody on the machine could read them.

use std::io::Write;

use super::fields::{checked, line_of_standard_input};
use super::show;
use super::{Place, Who, advised, find, say};
use crate::users::details;

#[derive(Debug, clap::Args)]
pub(super) struct Device {
    #[command(subcommand)]
    action: DeviceAction,
}

#[derive(Debug, clap::Subcommand)]
enum DeviceAction {
    /// Add an app, whose token comes from standard input.
    Add {
        #[command(flatten)]
        who: Who,
        /// What the person calls it.
        name: String,
        /// What it is: app, ios, android.
        #[arg(long, default_value = "app")]
        kind: String,
        /// Ask this one first.
        #[arg(long)]
        first: bool,
    },
    /// Remove an app.
    Remove {
        #[command(flatten)]
        who: Who,
        /// What the person calls it.
        name: String,
    },
}

/// `anteroom user device`.
pub(super) async fn device(device: Device, place: &Place<'_>, out: &mut (impl Write + ?Sized)) -> Result<(), String> {
    let (who, name) = match &device.action {
        DeviceAction::Add { who, name, .. } | DeviceAction::Remove { who, name } => (who, checked("name", name)?),
    };
    let person = find(place.store, who).await?.person;
    let mut devices = place.store.devices(&person.unique_id).await.map_err(|error| advised(&error))?;
    let place_of = devices.iter().position(|device| device.name == name);
    match (&device.action, place_of) {
        (DeviceAction::Add { .. }, Some(_)) => return Err(format!("there is a device {name:?} already")),
        (DeviceAction::Add { kind, first, .. }, None) => {
            let token = checked("device token", &line_of_standard_input("the device token")?)?;
            let device = details::Device { name: name.clone(), kind: checked("kind", kind)?, token };
            devices.insert(if *first { 0 } else { devices.len() }, device);
        }
        (DeviceAction::Remove { .. }, None) => return Err(format!("there is no device {name:?}")),
        (DeviceAction::Remove { .. }, Some(index)) => {
            devices.remove(index);
        }
    }
    let done = place.store.set_devices(&person.unique_id, &devices, &place.by).await;
    done.map_err(|error| advised(&error))?;
    say(out, format_args!("{} has {} devices now", show::plain(&person.name), devices.len()))
}
