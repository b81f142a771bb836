//! The integration tests: one binary, a module per promise.

#[cfg(test)]
mod ldap_client;
#[cfg(test)]
#[cfg(test)]
mod support;
