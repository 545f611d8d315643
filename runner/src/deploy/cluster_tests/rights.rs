//! An account that may do only what it is granted.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::orders::{Order, Told};
use super::world::{World, deploy};

const ACCOUNT: &str = "ada";

pub(super) struct Limited {
    folder: tempfile::TempDir,
    namespace: String,
}

impl Limited {
    pub(super) async fn deploy(&self, order: Order) -> Told {
        deploy(&self.folder.path().join("config"), &self.namespace, order).await
    }
}

impl World {
    /// The same cluster for an account without rights.
    pub(super) async fn limited(&self) -> Limited {
        let text = tokio::fs::read_to_string(&self.kubeconfig).await.unwrap();
        let mut config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        config["users"][0]["user"]["as"] = json!(ACCOUNT);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        Limited {
            folder,
            namespace: self.namespace.clone(),
        }
    }

    /// Lets that account do everything with these.
    pub(super) async fn grant(&self, group: &str, resources: &[&str]) {
        let (client, name) = (self.cluster.client.clone(), format!("with-{group}"));
        let name = name.trim_end_matches('-');
        let role = json!({
            "metadata": {"name": name},
            "rules": [{"apiGroups": [group], "resources": resources, "verbs": ["*"]}],
        });
        let role: Role = serde_json::from_value(role).unwrap();
        let roles = Api::<Role>::namespaced(client.clone(), &self.namespace);
        roles.create(&PostParams::default(), &role).await.unwrap();
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": ACCOUNT}],
        });
        let binding: RoleBinding = serde_json::from_value(binding).unwrap();
        let bindings = Api::<RoleBinding>::namespaced(client, &self.namespace);
        bindings
            .create(&PostParams::default(), &binding)
            .await
            .unwrap();
    }
}
