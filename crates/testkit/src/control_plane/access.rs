//! How to reach an API server: clients and kubeconfigs for the admin and for ServiceAccounts.

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use secrecy::{ExposeSecret, SecretString};

use crate::wait::wait_for;

/// Validity of ServiceAccount tokens, in seconds: longer than any test.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// Address, CA and admin token of an API server.
#[derive(Debug, Clone)]
pub struct ClusterAccess {
    url: String,
    ca: String,
    admin_token: SecretString,
}

impl ClusterAccess {
    pub(crate) fn new(url: String, ca: String, admin_token: SecretString) -> Self {
        Self {
            url,
            ca,
            admin_token,
        }
    }

    /// The API server's address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CA of the API server's certificate, PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    pub fn admin_token(&self) -> &SecretString {
        &self.admin_token
    }

    /// The same API server seen through another address, such as a fault proxy's.
    pub fn through(&self, port: u16) -> Self {
        Self {
            url: format!("https://127.0.0.1:{port}"),
            ..self.clone()
        }
    }

    /// A client with all rights. A client belongs to the runtime that made it: never share one
    /// between tests.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.admin_kubeconfig()?).await
    }

    pub fn admin_kubeconfig(&self) -> Result<String> {
        self.kubeconfig(&self.admin_token)
    }

    /// The content of a kubeconfig file for whoever owns `token`.
    pub fn kubeconfig(&self, token: &SecretString) -> Result<String> {
        let ca = serde_json::to_string(&ByteString(self.ca.clone().into_bytes()))?;
        Ok(format!(
            r"apiVersion: v1
kind: Config
current-context: testkit
clusters:
- name: testkit
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: testkit
  user:
    token: {token}
contexts:
- name: testkit
  context:
    cluster: testkit
    user: testkit
",
            url = self.url,
            token = token.expose_secret(),
        ))
    }

    /// A kubeconfig for a ServiceAccount, with a token as a pod would get it.
    pub async fn service_account_kubeconfig(&self, ns: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, ns);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for ServiceAccount {ns}/{name}"))?;
        let token = answer
            .status
            .context("a TokenRequest without status")?
            .token;
        self.kubeconfig(&SecretString::from(token))
    }

    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::<Namespace>::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot create namespace {name}"))
            .map(drop)
    }

    /// Waits until pods can be made in a namespace: not before it has an account for them, which a
    /// controller makes.
    pub async fn admits_pods(&self, namespace: &str) -> Result<()> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client().await?, namespace);
        wait_for("the namespace's ServiceAccount", async || {
            accounts
                .get_opt("default")
                .await
                .context("get ServiceAccount")
        })
        .await
        .map(drop)
    }

    /// Asks for the namespace's end and does not wait for it.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        Api::<Namespace>::all(self.client().await?)
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete namespace {name}"))
            .map(drop)
    }
}

/// A client of the calling runtime from the content of a kubeconfig file.
pub async fn client_of(kubeconfig: &str) -> Result<Client> {
    crate::install_crypto_provider();
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).context("kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context("kubeconfig")?;
    Client::try_from(config).context("cannot make a Kubernetes client")
}
