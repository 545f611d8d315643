//! What the stand-in remembers, and what of it survives a restart: all of it but faults and the
//! request log. Plain data; the rules are beside the routes that use them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check_run::CheckRun;
use super::deployments::Deployment;
use super::pull_state::Pull;
use super::webhooks::Delivery;

/// Who may read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Anyone, without a token.
    Public,
    /// Only the App, for its installations, and developers.
    Private,
}

/// Someone who pushes and opens pull requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The account's name.
    pub login: String,
    /// The name in commits.
    pub name: String,
    /// The address in commits.
    pub email: String,
}

impl Person {
    /// Someone with that login, and a name and address made of it.
    pub fn new(login: &str) -> Self {
        let mut name = login.to_owned();
        if let Some(first) = name.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        Self {
            login: login.to_owned(),
            name,
            email: format!("{login}@example.com"),
        }
    }
}

impl Default for Person {
    fn default() -> Self {
        Self {
            login: "ada".to_owned(),
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
        }
    }
}

/// One repository; its id never changes, its name may.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RepoRecord {
    pub(super) id: u64,
    pub(super) owner: String,
    pub(super) name: String,
    /// Full names it had before; the real one redirects from them for ever.
    pub(super) former_names: Vec<String>,
    pub(super) visibility: Visibility,
    pub(super) default_branch: String,
    /// Whether the owner's installation covers it.
    pub(super) installed: bool,
    pub(super) parent: Option<u64>,
    pub(super) next_number: u64,
    pub(super) created_at: Timestamp,
    pub(super) pushed_at: Timestamp,
}

impl RepoRecord {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(super) fn private(&self) -> bool {
        self.visibility == Visibility::Private
    }
}

/// An account that owns repositories, and the App's installation in it while there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) installation: Option<u64>,
}

/// An installation token and what it may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) installation: u64,
    pub(super) owner: String,
    /// The repositories it was asked for; none means all of the installation.
    pub(super) repositories: Option<Vec<u64>>,
    pub(super) permissions: BTreeMap<String, String>,
    pub(super) expires_at: Timestamp,
}

/// Everything that is written to `state.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) last_id: u64,
    pub(super) commits_made: i64,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) people: BTreeMap<String, Person>,
    pub(super) repositories: BTreeMap<u64, RepoRecord>,
    pub(super) pulls: Vec<Pull>,
    pub(super) check_runs: BTreeMap<u64, CheckRun>,
    pub(super) deployments: BTreeMap<u64, Deployment>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) deliveries: BTreeMap<u64, Delivery>,
}

impl State {
    /// A number never given before, to anything.
    pub(super) fn new_id(&mut self) -> u64 {
        // Far from 1, so that a mix-up of an id with a pull request's number is noticed.
        self.last_id = self.last_id.max(700_000) + 1;
        self.last_id
    }

    /// The account of a login, made on first sight.
    pub(super) fn account(&mut self, login: &str) -> Account {
        if let Some(account) = self.accounts.get(login) {
            return account.clone();
        }
        let account = Account {
            id: self.new_id(),
            installation: None,
        };
        self.accounts.insert(login.to_owned(), account.clone());
        account
    }

    /// The repository of that name now; names do not heed case.
    pub(super) fn find(&self, owner: &str, name: &str) -> Option<&RepoRecord> {
        self.repositories.values().find(|repo| {
            repo.owner.eq_ignore_ascii_case(owner) && repo.name.eq_ignore_ascii_case(name)
        })
    }

    /// The repository that once had that name.
    pub(super) fn find_former(&self, owner: &str, name: &str) -> Option<&RepoRecord> {
        let full_name = format!("{owner}/{name}");
        self.repositories.values().find(|repo| {
            repo.former_names
                .iter()
                .any(|n| n.eq_ignore_ascii_case(&full_name))
        })
    }

    /// The installation that covers a repository, if one does.
    pub(super) fn installation_of(&self, repo: &RepoRecord) -> Option<u64> {
        if !repo.installed {
            return None;
        }
        self.accounts
            .get(&repo.owner)
            .and_then(|account| account.installation)
    }

    /// The owner of an installation.
    pub(super) fn owner_of(&self, installation: u64) -> Option<String> {
        self.accounts
            .iter()
            .find(|(_, account)| account.installation == Some(installation))
            .map(|(login, _)| login.clone())
    }

    /// The repositories an installation covers.
    pub(super) fn covered_by(&self, installation: u64) -> Vec<&RepoRecord> {
        let covered = |repo: &&RepoRecord| self.installation_of(repo) == Some(installation);
        self.repositories.values().filter(covered).collect()
    }
}
