//! Whom and how to ask: a client's `provider` and `methods`, and `[[route]]`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::place::Path;
use super::super::values::OneOrMany;
use super::super::{Route, written};
use super::Checker;
use crate::users::model::Method;

impl Checker<'_> {
    pub(super) fn routes(
        &self,
        written: Vec<written::Route>,
        clients: &BTreeSet<String>,
        providers: &BTreeSet<String>,
    ) -> Vec<Arc<Route>> {
        let last = written.len().saturating_sub(1);
        let at = Path::top("route");
        let route = |(position, written): (usize, written::Route)| {
            let at = at.index(position);
            let route = self.route(&at, written, clients, providers);
            if route.is_for_everybody() && route.clients.is_empty() && position < last {
                self.warn(&at, "is for everybody, so that those after it never count", "put it last");
            }
            Arc::new(route)
        };
        written.into_iter().enumerate().map(route).collect()
    }

    fn route(
        &self,
        at: &Path,
        written: written::Route,
        clients: &BTreeSet<String>,
        providers: &BTreeSet<String>,
    ) -> Route {
        let known = |key: &str, given: Option<OneOrMany>, known: &BTreeSet<String>, section: &str| {
            self.known_names(&at.key(key), given, known, section)
        };
        let route = Route {
            clients: known("clients", written.clients, clients, "client"),
            users: self.list(&at.key("users"), self.narrowing(&at.key("users"), written.users)).unwrap_or_default(),
            groups: self.groups(&at.key("groups"), self.narrowing(&at.key("groups"), written.groups)),
            providers: known("provider", written.provider, providers, "provider"),
            methods: self.methods(&at.key("methods"), written.methods),
        };
        if route.providers.is_empty() && route.methods.is_empty() {
            self.wrong(at, "changes nothing", "name whom to ask (provider), how (methods), or both");
        }
        route
    }

    /// A client's providers in order: named, or the only one there is.
    pub(super) fn chosen_providers(
        &self,
        at: &Path,
        given: Option<OneOrMany>,
        written: &BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let Some(OneOrMany(names)) = given else {
            return self.chosen(at, "provider", None, written).map(|only| vec![only]);
        };
        if names.is_empty() {
            self.wrong(&at.key("provider"), "found an empty list", "at least one provider");
            return None;
        }
        for (position, name) in names.iter().enumerate() {
            if names.iter().take(position).any(|earlier| earlier == name) {
                self.wrong(
                    &at.key("provider").index(position),
                    format!("found {name:?} a second time"),
                    "once is enough",
                );
            }
        }
        names.into_iter().map(|name| self.chosen(at, "provider", Some(name), written)).collect()
    }

    /// Ways to ask, in order.
    pub(super) fn methods(&self, at: &Path, given: Option<OneOrMany>) -> Vec<Method> {
        let mut methods = Vec::new();
        for (position, text) in self.list(at, self.narrowing(at, given)).unwrap_or_default().iter().enumerate() {
            match text.parse() {
                Ok(method) if methods.contains(&method) => {
                    self.wrong(&at.index(position), format!("found {text:?} a second time"), "once is enough");
                }
                Ok(method) => methods.push(method),
                Err(_) => {
                    let words = Method::ALL.map(Method::word).join(", ");
                    self.wrong(&at.index(position), format!("found {text:?}"), format!("allowed: {words}"));
                }
            }
        }
        methods
    }
}
