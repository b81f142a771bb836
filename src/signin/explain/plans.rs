//! What would be asked of each provider.

use std::net::IpAddr;

use super::Plan;
use crate::factor::Factor;
use crate::signin::route::{self, Means, Way};
use crate::users::model::{Method, Person};

/// How a provider would ask, and what would leave the house.
pub(super) fn plan(
    provider: &dyn Factor,
    person: &Person,
    wishes: &[Method],
    means: Means,
    address: Option<IpAddr>,
) -> Plan {
    let ways: Vec<(Method, Way)> =
        wishes.iter().map(|method| (*method, route::way(provider, person, *method, means))).collect();
    let by = ways.iter().find(|(_, way)| *way == Way::Open).map(|(method, _)| *method);
    let leaves = by.and_then(|method| Some(provider.described()?.tells(person, method, means.typed, address)));
    let word = |way| match way {
        Way::Open => "open",
        Way::NotOffered => "not_offered",
        Way::WantsCode => "wants_code",
        Way::NoPlaceForCode => "no_place_for_code",
    };
    Plan {
        name: provider.name().to_owned(),
        by: by.map(|method| method.word().to_owned()),
        ways: ways.into_iter().map(|(method, way)| (method.word().to_owned(), word(way).to_owned())).collect(),
        out_of_use: provider.out_of_use().map(|class| class.word().to_owned()),
        away_seconds: provider.down_for().as_secs(),
        leaves: leaves.unwrap_or_default(),
    }
}
