//! What the cluster says about the workloads of a deploy, as it says it.
//!
//! Four watches (Deployments, ReplicaSets, Pods, Events) of one namespace feed one [`State`];
//! [`State::snapshot`] takes a picture of it. A watch that breaks is resumed where it was, or
//! listed anew when that is too long ago; nothing is ever concluded from a gap. The watches are
//! not in step with each other, so a picture can be a little inconsistent: the verdict asks for
//! agreement before it believes.

mod read;
mod refused;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};

use super::snapshot::{EventView, Snapshot, Target, WorkloadView};
use crate::clock;
use read::{Owned, SetView};
pub(crate) use read::{comparable, last_writer};
use refused::{Refusal, Refusals};

/// After an error of a watch, before it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the cluster is asked whether it still answers: a broken connection can look like a
/// quiet one.
const PROBE: Duration = Duration::from_secs(2);
/// An answer that takes longer than this is none.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds of one watch call; the connection counts as dead a little after.
const WATCH_SECONDS: u32 = 60;

/// Something the cluster said.
pub(crate) enum Word {
    /// About a Deployment.
    Deployment(Box<watcher::Event<Deployment>>),
    /// About a ReplicaSet.
    ReplicaSet(Box<watcher::Event<ReplicaSet>>),
    /// About a pod.
    Pod(Box<watcher::Event<Pod>>),
    /// An event.
    Event(Box<watcher::Event<Event>>),
    /// It does not let us see something.
    Refused(Refusal),
    /// It answers.
    Answers,
    /// It does not answer: why.
    Silent(String),
}

impl Word {
    /// Whether the cluster has said it. A watch begins with a word of its own, before any call.
    pub(crate) fn is_heard(&self) -> bool {
        match self {
            Self::Deployment(event) => !matches!(**event, watcher::Event::Init),
            Self::ReplicaSet(event) => !matches!(**event, watcher::Event::Init),
            Self::Pod(event) => !matches!(**event, watcher::Event::Init),
            Self::Event(event) => !matches!(**event, watcher::Event::Init),
            Self::Answers => true,
            Self::Refused(_) | Self::Silent(_) => false,
        }
    }

    /// Which watch it is from.
    fn resource(&self) -> Option<&'static str> {
        match self {
            Self::Deployment(_) => Some(Deployment::URL_PATH_SEGMENT),
            Self::ReplicaSet(_) => Some(ReplicaSet::URL_PATH_SEGMENT),
            Self::Pod(_) => Some(Pod::URL_PATH_SEGMENT),
            Self::Event(_) => Some(Event::URL_PATH_SEGMENT),
            Self::Refused(_) | Self::Answers | Self::Silent(_) => None,
        }
    }
}

/// Everything the cluster says about this namespace, for as long as it is polled.
pub(crate) fn listen(
    client: &Client,
    namespace: &str,
    probe: &str,
) -> SelectAll<BoxStream<'static, Word>> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let probing = probing(deployments.clone(), probe.to_owned());
    stream::select_all([
        watching(deployments, |event| Word::Deployment(Box::new(event))),
        watching(
            Api::<ReplicaSet>::namespaced(client.clone(), namespace),
            |event| Word::ReplicaSet(Box::new(event)),
        ),
        watching(Api::<Pod>::namespaced(client.clone(), namespace), |event| {
            Word::Pod(Box::new(event))
        }),
        watching(
            Api::<Event>::namespaced(client.clone(), namespace),
            |event| Word::Event(Box::new(event)),
        ),
        probing.boxed(),
    ])
}

fn watching<K>(api: Api<K>, word: fn(watcher::Event<K>) -> Word) -> BoxStream<'static, Word>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    K::DynamicType: Default,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher(api, config).filter_map(move |event| async move {
        match event {
            Ok(event) => Some(word(event)),
            Err(error) => {
                tracing::debug!(%error, "a watch is interrupted and will be resumed");
                tokio::time::sleep(RETRY).await;
                Refusal::of(&K::plural(&K::DynamicType::default()), &error).map(Word::Refused)
            }
        }
    });
    events.boxed()
}

fn probing(api: Api<Deployment>, name: String) -> impl Stream<Item = Word> + Send {
    stream::unfold((api, name), |(api, name)| async move {
        tokio::time::sleep(PROBE).await;
        let answer = tokio::time::timeout(PROBE_TIMEOUT, api.get_metadata_opt(&name)).await;
        let word = match answer {
            Ok(Ok(_)) => Word::Answers,
            Ok(Err(error)) => Word::Silent(super::cluster::words(&error)),
            Err(_) => Word::Silent(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())),
        };
        Some((word, (api, name)))
    })
}

async fn list<K>(api: Api<K>) -> Result<Vec<K>, String>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = ListParams::default();
    match tokio::time::timeout(PROBE_TIMEOUT, api.list(&params)).await {
        Ok(Ok(list)) => Ok(list.items),
        Ok(Err(error)) => Err(super::cluster::words(&error)),
        Err(_) => Err(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())),
    }
}

/// The last known state of everything that concerns the targets.
#[derive(Default)]
pub(crate) struct State {
    deployments: Store<Deployment>,
    sets: Store<SetView>,
    pods: Store<Owned>,
    events: Store<EventView>,
    refusals: Refusals,
}

impl State {
    /// Takes in what was said.
    pub(crate) fn take(&mut self, word: Word) {
        if let Some(resource) = word.resource().filter(|_| word.is_heard()) {
            self.refusals.forget(resource);
        }
        match word {
            // Events only explain: without the right to see them, the verdict stands on the rest.
            Word::Refused(refusal) if refusal.resource == Event::URL_PATH_SEGMENT => {}
            Word::Refused(refusal) => self.refusals.note(refusal, clock::monotonic()),
            Word::Deployment(event) => self.deployments.take(*event, Some),
            Word::ReplicaSet(event) => self.sets.take(*event, |set| read::set(&set)),
            Word::Pod(event) => self.pods.take(*event, |pod| read::pod(&pod)),
            Word::Event(event) => self.events.take(*event, |event| read::event(&event)),
            Word::Answers | Word::Silent(_) => {}
        }
    }

    /// Reads what the counts are made of once more, past the watches.
    pub(crate) async fn refresh(&mut self, client: &Client, namespace: &str) -> Result<(), String> {
        let deployments = list(Api::<Deployment>::namespaced(client.clone(), namespace)).await?;
        let sets = list(Api::<ReplicaSet>::namespaced(client.clone(), namespace)).await?;
        let pods = list(Api::<Pod>::namespaced(client.clone(), namespace)).await?;
        self.deployments.replace(deployments, Some);
        self.sets.replace(sets, |set| read::set(&set));
        self.pods.replace(pods, |pod| read::pod(&pod));
        Ok(())
    }

    /// What the verdict needs and has not been listed yet.
    pub(crate) fn unlisted(&self) -> Vec<&'static str> {
        let lists = [
            (self.deployments.listed, Deployment::URL_PATH_SEGMENT),
            (self.sets.listed, ReplicaSet::URL_PATH_SEGMENT),
            (self.pods.listed, Pod::URL_PATH_SEGMENT),
        ];
        let missing = lists.into_iter().filter(|(listed, _)| !listed);
        missing.map(|(_, resource)| resource).collect()
    }

    /// What the cluster refuses to show for good, in words.
    pub(crate) fn refused(&self, namespace: &str) -> Option<String> {
        let unlisted = self.unlisted();
        let listed = |resource: &str| !unlisted.contains(&resource);
        self.refusals.lasting(namespace, clock::monotonic(), listed)
    }

    /// A picture of this moment, one view for each target.
    pub(crate) fn snapshot(&self, targets: &[Target]) -> Snapshot {
        let workloads: Vec<_> = targets.iter().map(|target| self.view(target)).collect();
        let mut known: BTreeSet<&str> = targets.iter().map(|target| target.uid.as_str()).collect();
        known.extend(
            workloads
                .iter()
                .flat_map(|view| &view.pods)
                .map(|pod| pod.uid.as_str()),
        );
        let sets = self
            .sets
            .live
            .iter()
            .filter(|(_, set)| known.contains(set.owner.as_str()));
        let sets: Vec<&str> = sets.map(|(uid, _)| uid.as_str()).collect();
        known.extend(sets);
        let events = self.events.live.values();
        let events = events.filter(|event| known.contains(event.uid.as_str()));
        let mut events: Vec<EventView> = events.cloned().collect();
        events.sort_by(|a, b| (b.at, &b.reason, &b.message).cmp(&(a.at, &a.reason, &a.message)));
        Snapshot { workloads, events }
    }

    fn view(&self, target: &Target) -> WorkloadView {
        let Some(deployment) = self.deployments.live.get(&target.uid) else {
            return WorkloadView::default();
        };
        let live = read::live(deployment, target);
        let revision = read::revision(deployment.annotations());
        let sets = self
            .sets
            .live
            .iter()
            .filter(|(_, set)| set.owner == target.uid);
        let sets: HashMap<&str, &SetView> = sets.map(|(uid, set)| (uid.as_str(), set)).collect();
        // The controller writes the revision before it observes the generation, so only with the
        // latter does the former name the new template's ReplicaSet.
        let observed = super::verdict::observed(target, &live);
        let is_new = |set: &SetView| observed && revision.is_some() && set.revision == revision;
        let mut pods: Vec<_> = self
            .pods
            .live
            .values()
            .filter_map(|owned| {
                let set = sets.get(owned.owner.as_str())?;
                let mut pod = owned.pod.clone();
                pod.new = is_new(set);
                Some(pod)
            })
            .collect();
        pods.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        WorkloadView {
            live: Some(live),
            pods,
        }
    }
}

/// Objects of one kind by identity. A new list takes the place of the old one as a whole.
struct Store<V> {
    live: HashMap<String, V>,
    coming: HashMap<String, V>,
    listed: bool,
}

impl<V> Default for Store<V> {
    fn default() -> Self {
        Self {
            live: HashMap::new(),
            coming: HashMap::new(),
            listed: false,
        }
    }
}

impl<V> Store<V> {
    fn replace<K: kube::Resource>(&mut self, objects: Vec<K>, view: impl Fn(K) -> Option<V>) {
        let views = objects.into_iter().filter_map(|object| {
            let uid = object.meta().uid.clone().unwrap_or_default();
            Some((uid, view(object)?))
        });
        self.live = views.collect();
    }

    /// Objects for which `view` has no answer are not kept.
    fn take<K: kube::Resource>(&mut self, event: watcher::Event<K>, view: impl Fn(K) -> Option<V>) {
        let uid = |object: &K| object.meta().uid.clone().unwrap_or_default();
        match event {
            watcher::Event::Init => self.coming.clear(),
            watcher::Event::InitApply(object) => {
                let uid = uid(&object);
                if let Some(view) = view(object) {
                    self.coming.insert(uid, view);
                }
            }
            watcher::Event::InitDone => {
                self.live = std::mem::take(&mut self.coming);
                self.listed = true;
            }
            watcher::Event::Apply(object) => {
                let uid = uid(&object);
                if let Some(view) = view(object) {
                    self.live.insert(uid, view);
                }
            }
            watcher::Event::Delete(object) => {
                self.live.remove(&uid(&object));
            }
        }
    }
}
