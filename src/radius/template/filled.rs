//! What a template makes: an attribute with its value, open or to be sealed for the client that is answered. Pure.

use std::sync::Arc;

use crate::config::ReplyAttribute;
use crate::radius::dictionary::{DictionaryError, Writable};
use crate::radius::said::Said;
use crate::radius::salted;
use crate::secret::Secret;

/// An attribute with its value.
#[derive(Debug, Clone)]
pub struct Filled {
    /// Which.
    pub attribute: Writable,
    /// Its value.
    pub made: Made,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Made {
    /// Encoded.
    Open(ReplyAttribute),
    /// Plain, to be salt-encrypted for each reply (RFC 2868 section 3.5).
    Sealed(Arc<Secret>),
}

impl Made {
    /// A value that only the client may read.
    ///
    /// # Errors
    /// [`Misfit::Secret`] where it is empty, or longer than its attribute can hold.
    pub fn sealed(secret: Secret) -> Result<Made, Misfit> {
        match secret.len() {
            1..=salted::LONGEST => Ok(Made::Sealed(Arc::new(secret))),
            have => Err(Misfit::Secret { have }),
        }
    }
}

impl Filled {
    /// Octets that it takes in a packet.
    pub fn size(&self) -> usize {
        match &self.made {
            Made::Open(encoded) => encoded.value.len() + 2,
            Made::Sealed(secret) => Said::tunnel_password_size(secret.len()),
        }
    }

    /// Its name and its value, as people read it. What only the client may read is not shown.
    pub fn show(&self) -> String {
        match &self.made {
            Made::Open(encoded) => self.attribute.show(encoded),
            Made::Sealed(_) => format!("{} = (a secret, not shown)", self.attribute.tagged_name()),
        }
    }
}

/// Attributes as a reply has them, in their order. Nothing where one is longer than an attribute can be.
pub fn said(attributes: Vec<Filled>) -> Option<Said> {
    let (mut said, mut open) = (Said::default(), Vec::new());
    for Filled { attribute, made } in attributes {
        match made {
            Made::Open(encoded) => {
                let size = u8::try_from(encoded.value.len() + 2).ok()?;
                open.extend_from_slice(&[encoded.number, size]);
                open.extend_from_slice(&encoded.value);
            }
            Made::Sealed(secret) => {
                said.put(&std::mem::take(&mut open));
                said.put_tunnel_password(attribute.tag().unwrap_or(0), secret.duplicate());
            }
        }
    }
    said.put(&open);
    Some(said)
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The attribute takes no such value.
    Value(DictionaryError),
    /// The directory's value is no text, or has control characters.
    NoText,
    /// A secret that is empty or too long.
    Secret {
        /// Its octets.
        have: usize,
    },
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misfit::Value(why) => why.fmt(f),
            Misfit::NoText => f.write_str("the directory's value is no text, or has control characters"),
            Misfit::Secret { have } => write!(f, "a secret of {have} octets; 1 to {} fit", salted::LONGEST),
        }
    }
}
