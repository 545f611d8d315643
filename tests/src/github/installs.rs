//! What owners do to repositories and to the App: fork, rename, hide, delete, uninstall.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::GitHub;
use super::app::installation_json;
use super::git::clean_git;
use super::hub::{Hub, lock, valid_name};
use super::json;
use super::repository::Repository;
use super::state::{Person, RepoRecord, Visibility};
use super::webhooks::Delivery;

impl Hub {
    pub(super) async fn create_fork(&self, parent: u64, full_name: &str) -> Result<u64> {
        let (owner, name) = full_name
            .split_once('/')
            .context("a full name is owner/name")?;
        if !valid_name(owner) || !valid_name(name) {
            bail!("GitHub would not allow the name {full_name}");
        }
        let id = self.change(|state| {
            if state.find(owner, name).is_some() {
                bail!("{full_name} exists already");
            }
            let mut fork = state
                .repositories
                .get(&parent)
                .context("the parent is gone")?
                .clone();
            state.account(owner);
            fork.id = state.new_id();
            fork.owner = owner.to_owned();
            fork.name = name.to_owned();
            fork.former_names = Vec::new();
            fork.parent = Some(parent);
            fork.next_number = 1;
            // Whoever forks brings no App along, which is what makes forks dangerous.
            fork.installed = false;
            let id = fork.id;
            state.repositories.insert(id, fork);
            Ok(id)
        })?;
        let (from, to) = (self.git(parent), self.git(id));
        let mut command = clean_git();
        command
            .args(["clone", "--quiet", "--bare", "--no-hardlinks"])
            .arg(from.dir());
        let output = command
            .arg(to.dir())
            .output()
            .await
            .context("cannot run git clone")?;
        if !output.status.success() {
            bail!("git clone: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(id)
    }

    fn change_repo(&self, id: u64, change: impl FnOnce(&mut RepoRecord)) {
        self.change(|state| {
            if let Some(repo) = state.repositories.get_mut(&id) {
                change(repo);
            }
        });
    }
}

impl Repository {
    /// Gives it another name (`other`) or owner (`else/other`). The old name redirects. A transfer
    /// to an owner without the App takes the App away.
    pub async fn rename(&self, name: &str) -> Result<Option<Delivery>> {
        let hub = &self.github.hub;
        let former = self.record()?;
        let (owner, name) = name.split_once('/').unwrap_or((&former.owner, name));
        hub.change_repo(self.id(), |repo| {
            repo.former_names.push(former.full_name());
            repo.owner = owner.to_owned();
            repo.name = name.to_owned();
        });
        let changes = match owner == former.owner {
            true => json!({ "repository": { "name": { "from": former.name } } }),
            false => {
                json!({ "owner": { "from": { "user": json::account(hub, &former.owner, "User") } } })
            }
        };
        let action = if owner == former.owner {
            "renamed"
        } else {
            "transferred"
        };
        let payload = json!({ "action": action, "changes": changes });
        self.tell("repository", &Person::default(), payload).await
    }

    /// Shows it to all, or hides it.
    pub async fn set_visibility(&self, visibility: Visibility) -> Result<Option<Delivery>> {
        self.github
            .hub
            .change_repo(self.id(), |repo| repo.visibility = visibility);
        let action = match visibility {
            Visibility::Public => "publicized",
            Visibility::Private => "privatized",
        };
        self.tell(
            "repository",
            &Person::default(),
            json!({ "action": action }),
        )
        .await
    }

    /// Makes another branch the default one.
    pub async fn set_default_branch(&self, branch: &str) -> Result<Option<Delivery>> {
        let former = self.record()?.default_branch;
        let full = format!("refs/heads/{branch}");
        self.github
            .hub
            .git(self.id())
            .run(&["symbolic-ref", "HEAD", &full])
            .await?;
        self.github
            .hub
            .change_repo(self.id(), |repo| repo.default_branch = branch.to_owned());
        let changes = json!({ "default_branch": { "from": former } });
        let payload = json!({ "action": "edited", "changes": changes });
        self.tell("repository", &Person::default(), payload).await
    }

    /// Deletes it, for good.
    pub async fn delete(self) -> Result<Option<Delivery>> {
        let hub = &self.github.hub;
        let who = Person::default();
        // The event tells of what is gone a moment later, as the real one does.
        let payload = json!({ "action": "deleted" });
        let payload = super::events::addressed(hub, &self.record()?, &who, payload);
        let _one_push = hub.push_lock(self.id()).await;
        hub.change(|state| state.repositories.remove(&self.id()));
        tokio::fs::remove_dir_all(self.git_dir()).await?;
        let sent = payload.and_then(|payload| hub.emit("repository", &payload));
        Ok(self.github.answered(sent.into_iter().collect()).await.pop())
    }

    /// Takes it out of the App's installation; the App hears it.
    pub async fn uninstall(&self) -> Result<Option<Delivery>> {
        self.select(false).await
    }

    /// Puts it (back) into its owner's installation, which is made if need be.
    pub async fn install(&self) -> Result<Option<Delivery>> {
        self.select(true).await
    }

    async fn select(&self, installed: bool) -> Result<Option<Delivery>> {
        let hub = &self.github.hub;
        let repo = self.record()?;
        let installation = hub.change(|state| {
            let id = state
                .account(&repo.owner)
                .installation
                .unwrap_or_else(|| state.new_id());
            if let Some(account) = state.accounts.get_mut(&repo.owner) {
                account.installation = Some(id);
            }
            id
        });
        hub.change_repo(repo.id, |repo| repo.installed = installed);
        let one = json!([{
            "id": repo.id,
            "node_id": json::node_id("R", repo.id),
            "name": repo.name,
            "full_name": repo.full_name(),
            "private": repo.private(),
        }]);
        let (added, removed) = if installed {
            (one, json!([]))
        } else {
            (json!([]), one)
        };
        let payload = json!({
            "action": if installed { "added" } else { "removed" },
            "installation": installation_json(hub, installation, &repo.owner),
            "repository_selection": "selected",
            "repositories_added": added,
            "repositories_removed": removed,
            "requester": null,
            "sender": json::person(hub, &Person::default()),
        });
        let sent = hub.emit("installation_repositories", &payload);
        Ok(self.github.answered(sent.into_iter().collect()).await.pop())
    }
}

impl GitHub {
    /// Removes the App from an owner: all its tokens end at once.
    pub async fn uninstall(&self, owner: &str) -> Result<Option<Delivery>> {
        let account = lock(&self.hub.state)
            .accounts
            .get(owner)
            .and_then(|a| a.installation);
        let id = account.with_context(|| format!("{owner} has no installation"))?;
        let installation = installation_json(&self.hub, id, owner);
        self.hub.change(|state| {
            if let Some(account) = state.accounts.get_mut(owner) {
                account.installation = None;
            }
        });
        let payload = json!({
            "action": "deleted",
            "installation": installation,
            "repositories": [],
            "sender": json::person(&self.hub, &Person::default()),
        });
        self.installation_event(&payload).await
    }

    /// Says hello to the webhook, as GitHub does when one is set up.
    pub async fn ping(&self) -> Result<Option<Delivery>> {
        let hook = json!({
            "type": "App",
            "id": 424_242,
            "name": "web",
            "active": true,
            "events": json::EVENTS,
            "app_id": self.app_id(),
            "config": { "content_type": "json", "insecure_ssl": "0", "url": self.web_url() },
        });
        let payload =
            json!({ "zen": "Keep it logically awesome.", "hook_id": 424_242, "hook": hook });
        let sent = self.hub.emit("ping", &payload);
        Ok(self.answered(sent.into_iter().collect()).await.pop())
    }

    async fn installation_event(&self, payload: &Value) -> Result<Option<Delivery>> {
        let sent = self.hub.emit("installation", payload);
        Ok(self.answered(sent.into_iter().collect()).await.pop())
    }
}
