//! Who is meant by an address: the most specific range wins. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

/// An inclusive range of addresses of one family. A single address and a CIDR block are ranges, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// Lowest address.
    pub first: IpAddr,
    /// Highest address, of the same family.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether it has more than 65,536 addresses of IPv4, or more than a /48 of IPv6: no office and no balancer does.
    pub fn is_wide(&self) -> bool {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => u32::from(last) - u32::from(first) >= 1 << 16,
            (IpAddr::V6(first), IpAddr::V6(last)) => u128::from(last) - u128::from(first) >= 1 << 80,
            _ => true,
        }
    }

    /// Whether `address` lies inside. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match (self.first, self.last, address) {
            (IpAddr::V4(first), IpAddr::V4(last), IpAddr::V4(a)) => first <= a && a <= last,
            (IpAddr::V6(first), IpAddr::V6(last), IpAddr::V6(a)) => first <= a && a <= last,
            _ => false,
        }
    }

    /// How many addresses lie above the first: the smaller, the more specific.
    pub fn span(&self) -> u128 {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => u128::from(u32::from(last) - u32::from(first)),
            (IpAddr::V6(first), IpAddr::V6(last)) => u128::from(last) - u128::from(first),
            _ => u128::MAX,
        }
    }
}

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
