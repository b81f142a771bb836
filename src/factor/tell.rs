//! What a provider has for the person to read: where to enrol, a number to compare, that a code is on its way. Only for
//! clients that show text.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::texts::{self, Text, Texts};

static ENGLISH: LazyLock<Arc<Texts>> = LazyLock::new(|| Arc::new(Texts::built_in()));

/// Where a text for the person can be put. Clones speak of the same text.
#[derive(Debug, Clone)]
pub struct Tell {
    shared: Arc<Shared>,
    /// Whether the text is shown while the prompt is open, and not only with the answer.
    while_open: bool,
}

struct Shared {
    text: Mutex<Option<String>>,
    news: Notify,
    texts: Arc<Texts>,
    language: Box<str>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("text", &self.text).field("language", &self.language).finish_non_exhaustive()
    }
}

impl Tell {
    /// For a client that shows a text with its answer; `while_open`: also while the prompt is open. In English.
    pub fn new(while_open: bool) -> Self {
        Tell::speaking(&ENGLISH, "en", while_open)
    }

    /// As [`Tell::new`], in the person's language.
    pub fn speaking(texts: &Arc<Texts>, language: &str, while_open: bool) -> Self {
        let (texts, language) = (Arc::clone(texts), language.into());
        Tell { shared: Arc::new(Shared { text: Mutex::default(), news: Notify::new(), texts, language }), while_open }
    }

    /// Whether the person reads the text while the prompt is open.
    pub fn while_open(&self) -> bool {
        self.while_open
    }

    /// Puts a text, without control characters and cut to what fits; a later one replaces it.
    pub fn say(&self, text: &str) {
        *self.shared.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(texts::plain(text));
        self.shared.news.notify_one();
    }

    /// Puts the number that the person's app asks for.
    pub fn number(&self, number: &str) {
        self.say(&self.shared.texts.say(&self.shared.language, Text::Number, &[("number", number)]));
    }

    /// Puts that a code is on its way; where the person can type it while this sign-in lasts, they are asked for it by
    /// a text of its own.
    pub fn code_sent(&self) {
        if !self.while_open {
            self.say(&self.shared.texts.say(&self.shared.language, Text::CodeNextTime, &[]));
        }
    }

    /// Puts that a code would do, where nothing else is to be read.
    pub fn code_instead(&self) {
        if self.shared.text.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.say(&self.shared.texts.say(&self.shared.language, Text::CodeInstead, &[]));
        }
    }

    /// Resolves when there is a text.
    pub async fn heard(&self) {
        while self.shared.text.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.shared.news.notified().await;
        }
    }

    /// Takes the text, if there is one.
    pub fn take(&self) -> Option<String> {
        self.shared.text.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_text_is_heard_once_and_in_the_persons_language() {
        let tell = Tell::speaking(&ENGLISH, "de-AT", true);
        tell.clone().number("42");
        tell.heard().await;
        assert_eq!(tell.take().unwrap(), "Geben Sie 42 in der App ein, dann drücken Sie hier OK.");
        assert_eq!(tell.take(), None);
        tell.code_sent();
        assert_eq!(tell.take(), None, "it is asked for instead");
    }

    #[test]
    fn who_cannot_be_asked_is_told_to_come_again() {
        let tell = Tell::new(false);
        tell.code_sent();
        assert!(tell.take().unwrap().contains("Sign in again"));
        tell.say("a\r\nb");
        assert_eq!(tell.take().unwrap(), "a  b");
    }
}
