//! A connection beside the pool's lanes, for whoever reads much: an import must not take the places of sign-ins.

use std::time::Instant;

use super::Directory;
use crate::config::ServerUrl;
use crate::ldap::pool::Connection;
use crate::ldap::result::{code, code_name};

impl Directory {
    /// A connection bound as the service account, to `preferred` (`host:port`) if that is one of the servers and
    /// answers, else to the first that does.
    ///
    /// # Errors
    /// Why none of the servers would do, in words. A refused service account is tried once only: each try on a
    /// further server would count as one more wrong password.
    pub async fn dedicated(&self, preferred: Option<&str>) -> Result<(ServerUrl, Connection), String> {
        let settings = self.pool.settings();
        let within = settings.connect_timeout + settings.timeout;
        if self.locate(Instant::now() + within).await.is_err() {
            return Err(format!("no answer from the DNS within {within:?}; check the resolver"));
        }
        let mut urls = self.pool.urls();
        if let Some(place) = urls.iter().position(|url| Some(shown(url).as_str()) == preferred) {
            let preferred = urls.remove(place);
            urls.insert(0, preferred);
        }
        let mut why = "the DNS names no servers; check the domain and that its DNS is asked".to_owned();
        for url in urls {
            let shown = shown(&url);
            let mut connection = match self.pool.open(&url).await {
                Ok(connection) => connection,
                Err(error) => {
                    why = format!("{shown}: {error}");
                    continue;
                }
            };
            match self.bind_service(&mut connection).await {
                Ok(()) => return Ok((url, connection)),
                Err((error, wrong)) => {
                    why = format!("{shown}: {error}");
                    if wrong {
                        break;
                    }
                }
            }
        }
        Err(why)
    }

    /// A connection to a server that another one has referred to, bound as the service account.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn referred(&self, url: &ServerUrl) -> Result<Connection, String> {
        let mut connection = self.pool.open(url).await?;
        self.bind_service(&mut connection).await.map(|()| connection).map_err(|(error, _)| error)
    }

    /// The error says whether the password is wrong.
    async fn bind_service(&self, connection: &mut Connection) -> Result<(), (String, bool)> {
        let settings = self.pool.settings();
        let bind = connection.bind(settings.service_name.as_bytes(), settings.service_password.open());
        match tokio::time::timeout(settings.timeout, bind).await {
            Ok(Ok(answer)) if answer.code == code::SUCCESS => Ok(()),
            Ok(Ok(answer)) => {
                let (name, meaning) = (&settings.service_name, code_name(answer.code));
                let why = format!(
                    "the service account {name:?} is refused ({} {meaning}); check bind_name and bind_password",
                    answer.code
                );
                Err((why, answer.code == code::INVALID_CREDENTIALS))
            }
            Ok(Err(trouble)) => Err((trouble.to_string(), false)),
            Err(_) => Err((format!("no answer to the service bind within {:?}", settings.timeout), false)),
        }
    }
}

fn shown(url: &ServerUrl) -> String {
    format!("{}:{}", url.host, url.port)
}
