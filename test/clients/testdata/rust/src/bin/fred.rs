//! Carries lines to a server with fred (see clients_test.go).

use fred::prelude::*;
use fred::rustls::pki_types::{pem::PemObject, CertificateDer};
use fred::rustls::{ClientConfig, RootCertStore};
use fred::types::config::TlsConnector;
use fred::types::{ClusterHash, CustomCommand, RespVersion};
use lines::{ca, carry, cluster, host_and_port, show_text, value};

async fn connect() -> Result<Client, Error> {
    let (host, port) = host_and_port();
    let config = Config {
        server: if cluster() {
            ServerConfig::new_clustered(vec![(host, port)])
        } else {
            ServerConfig::new_centralized(host, port)
        },
        password: value("PASSWORD"),
        version: if value("PROTOCOL").as_deref() == Some("3") { RespVersion::RESP3 } else { RespVersion::RESP2 },
        tls: ca().map(|pem| trusting(&pem).into()),
        ..Config::default()
    };
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    Ok(client)
}

fn trusting(pem: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth().into()
}

async fn ask(client: &Client, commands: &[Vec<String>]) -> Vec<String> {
    if let [words] = commands {
        let (command, args) = command(words);
        return vec![show(client.custom(command, args).await)];
    }
    let pipeline = client.pipeline();
    for words in commands {
        let (command, args) = command(words);
        if let Err(error) = pipeline.custom::<Value, _>(command, args).await {
            return vec![show(Err(error))];
        }
    }
    pipeline.try_all::<Value>().await.into_iter().map(show).collect()
}

fn command(words: &[String]) -> (CustomCommand, Vec<String>) {
    let route = if words.len() > 2 { ClusterHash::FirstKey } else { ClusterHash::Random };
    (CustomCommand::new(words[0].clone(), route, false), words[1..].to_vec())
}

fn show(reply: Result<Value, Error>) -> String {
    match reply {
        Ok(Value::Array(parts)) => parts.into_iter().map(|part| show(Ok(part))).collect::<Vec<_>>().join(" "),
        Ok(value) => show_text(&value.into_string().unwrap_or_default()),
        Err(error) => format!("error Error::{:?}: {}", error.kind(), error.details()),
    }
}

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    carry(
        "fred",
        || runtime.block_on(connect()).map_err(|error| show(Err(error))),
        |client, commands| runtime.block_on(ask(client, &commands)),
    );
}
