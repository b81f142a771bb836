//! Who is meant by an address: the most specific range wins. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use super::AddressRange;

/// Values found by address.
#[derive(Debug)]
pub struct ByAddress<T> {
    single: HashMap<IpAddr, T>,
    /// Smallest first.
    ranges: Vec<(AddressRange, T)>,
}

impl<T: Clone> ByAddress<T> {
    /// With these ranges. Of two that are the same, the first one is meant.
    pub fn new<'a>(all: impl IntoIterator<Item = (&'a AddressRange, T)>) -> Self {
        let mut table = ByAddress { single: HashMap::new(), ranges: Vec::new() };
        for (range, value) in all {
            if range.span() == 0 {
                table.single.entry(range.first.to_canonical()).or_insert(value);
            } else {
                table.ranges.push((*range, value));
            }
        }
        table.ranges.sort_by_key(|(range, _)| range.span());
        table
    }

    /// Who has this address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn find(&self, address: IpAddr) -> Option<&T> {
        let address = address.to_canonical();
        self.single
            .get(&address)
            .or_else(|| self.ranges.iter().find(|(range, _)| range.contains(address)).map(|(_, value)| value))
    }
}
