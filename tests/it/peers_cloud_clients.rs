//! Each simulated cloud is proven by a client that somebody else wrote: Duo's `duo_client`, Microsoft's `adal`, Okta's
//! `okta`, unchanged from PyPI, over TLS. (privacyIDEA is tested against the real server, the native protocol by the
//! commands of its documentation.)

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anteroom::secret::Secret;
use anteroom::simulate::entra::Credential;
use anteroom::simulate::{
    Decision, Options, Scenario, ScenarioFile, ServerScenario, Service, Simulator, duo, entra, okta,
};

use crate::clouds::duo::{IKEY, SKEY};
use crate::clouds::entra::{CLIENT, RESOURCE, SECRET, TENANT};
use crate::peers::{missing, peer_file};

/// The people whom the clients ask for.
fn people() -> ScenarioFile {
    let late = |answer| Scenario { after: Duration::from_millis(400), ..Scenario::answering(answer) };
    let unknown = Scenario { methods: vec!["unknown".into()], ..Scenario::default() };
    let person = [
        ("alice", late(Decision::Approve)),
        ("bobby", late(Decision::Deny)),
        ("carol", late(Decision::Fraud)),
        ("dora", late(Decision::Lockout)),
        ("nobody", unknown),
    ];
    ScenarioFile {
        server: ServerScenario::default(),
        everybody: Scenario::default(),
        person: person.map(|(name, scenario)| (name.to_owned(), scenario)).into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// Runs a client against a simulator; what it found, line by line. `None` where the client cannot be had, which has
/// then been said.
async fn talk(client: &'static str, service: impl Service + 'static, arguments: Vec<String>) -> Option<Vec<String>> {
    let install = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cloud-clients");
    let (folder, files, authority) = crate::simulate::tls_files();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let options = Options { scenarios: people(), tls: Some(files), ..Options::default() };
    let address = "127.0.0.1:0".parse().unwrap();
    let simulator = Simulator::start(address, Arc::new(service), options).await.unwrap();
    let mut command = Command::new(peer_file("cloud-clients.sh"));
    command.arg(install).args([client, &simulator.url()]).arg(Path::new(&ca)).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if wrong.contains("cloud-clients: ERROR") {
        missing(client, &wrong);
        return None;
    }
    assert!(output.status.success(), "{client} does not work:\n{told}{wrong}");
    let counts = simulator.desk().counts();
    assert!(counts.refused > 0 || client == "entra-certificate", "{client}: nothing wrong was tried: {counts:?}");
    Some(told.lines().map(str::to_owned).collect())
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn duos_own_client_works_unchanged_against_the_simulated_duo() {
    let service = duo::Duo::new(IKEY, Secret::from_text(SKEY.into()));
    let Some(found) = talk("duo", service, strings(&[IKEY, SKEY])).await else { return };
    for step in
        ["ping: ", "check, signature 2: ", "wrong skey: (401", "auth_status, waited for: ", "signed headers: 200"]
    {
        assert!(found.iter().any(|line| line.starts_with(step)), "{step} was not tried:\n{}", found.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_own_client_gets_tokens_from_the_simulated_entra() {
    let secret = Credential::Secret(Secret::from_text(SECRET.into()));
    let service = entra::Entra::new(TENANT, CLIENT, RESOURCE, secret);
    let Some(found) = talk("entra", service, strings(&[TENANT, CLIENT, RESOURCE, SECRET])).await else { return };
    assert!(found.iter().any(|line| line == "end: ('Success', 'true')"), "{}", found.join("\n"));

    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["anteroom".into()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("key.pem"), folder.path().join("cert.pem")];
    std::fs::write(&paths[0], key.serialize_pem()).unwrap();
    std::fs::write(&paths[1], certificate.pem()).unwrap();
    let registered = Credential::Certificate(certificate.pem().into_bytes());
    let service = entra::Entra::new(TENANT, CLIENT, RESOURCE, registered);
    let mut arguments = strings(&[TENANT, CLIENT, RESOURCE]);
    arguments.extend(paths.iter().map(|path| path.display().to_string()));
    let Some(found) = talk("entra-certificate", service, arguments).await else { return };
    assert!(found.iter().any(|line| line == "token by certificate: Bearer"), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn oktas_own_client_verifies_factors_at_the_simulated_okta() {
    let service = okta::Okta::new(Secret::from_text("planted-okta-token".into()), None);
    let Some(found) = talk("okta", service, strings(&["planted-okta-token"])).await else { return };
    for step in ["answer of alice: (None, 'SUCCESS')", "answer of bobby: (None, 'REJECTED')"] {
        assert!(found.iter().any(|line| line == step), "{step} was not tried:\n{}", found.join("\n"));
    }
}
