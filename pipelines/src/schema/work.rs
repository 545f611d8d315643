//! What a job without steps does: `build` and `deploy`.

use super::job::Secrets;
use super::level;
use super::pipeline::Env;
use super::text::{
    Address, Image, List, Map, Name, Nothing, OneOrMany, Or, Path, Percent, Platform, Span,
    StrategyName, Text,
};
use crate::limits::{BEFORE_MAX, CANARY_STEPS_MAX, PLATFORMS_MAX, TAGS_MAX};

level! {
    /// Builds an image from a Dockerfile and pushes it. Its outputs are `digest` and `image` (the
    /// image with its digest).
    Build needs ["image"] {
        /// Where it is pushed, without a tag.
        image: Text,
        /// The folder that is built; the repository's root if nothing is said. `.dockerignore` is
        /// honoured, and `.git` is never part of it.
        context: Path,
        /// The Dockerfile; `Dockerfile` in the context if nothing is said.
        dockerfile: Path,
        /// A stage of the Dockerfile.
        target: Text,
        /// Platforms such as `linux/arm64`; the runner's own if nothing is said.
        platforms: OneOrMany<Platform, PLATFORMS_MAX>,
        /// Build arguments. They can be seen in the image: no place for secrets.
        args: Env,
        /// Secrets, mounted for `RUN --mount=type=secret,id=NAME`; never part of the image.
        secrets: Secrets,
        /// Tags, for people: deploys use the digest.
        tags: OneOrMany<Text, TAGS_MAX>,
    }
}

level! {
    /// Rolls a release out to an environment and watches it. It has either `manifests` or `promote`.
    Deploy needs ["environment"] {
        /// One of `environments.yml`.
        environment: Name,
        /// A file or folder of Kubernetes YAML.
        manifests: Path,
        /// Names of images in the manifests, and the jobs whose built images take their place, by
        /// digest.
        images: Map<Image, Name, { usize::MAX }>,
        /// An environment whose verified release of this run is rolled out here, not built again.
        promote: Name,
        /// Files of Jobs that must succeed before the release is applied.
        before: OneOrMany<Path, BEFORE_MAX>,
        /// How old pods are replaced; `rolling` if nothing is said.
        strategy: Or<StrategyName, Strategy>,
        /// When a rollout counts as a success.
        verify: Verify,
        /// How long a rollout may make no progress; ten minutes if nothing is said.
        deadline: Span,
    }
}

level! {
    /// When a rollout counts as a success, once the counts are right.
    Verify needs [] {
        /// How long nothing may restart; ten seconds if nothing is said.
        bake: Span,
        /// An address that must answer with success.
        http: Address,
    }
}

level! {
    /// One strategy, with its settings.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    Strategy needs [] {
        /// Pods are replaced a few at a time, as the Deployment says.
        rolling: Nothing,
        /// All old pods end before the first new one starts.
        recreate: Nothing,
        /// All new pods stand beside the old ones, and then get the traffic at once.
        blue_green: Or<BlueGreen, Nothing>,
        /// A growing share of the pods is new.
        canary: Or<Canary, Nothing>,
    }
}

level! {
    /// Settings of a switch.
    BlueGreen needs [] {
        /// How long the old pods stay; ten minutes if nothing is said.
        keep: Span,
    }
}

level! {
    /// Settings of a canary.
    Canary needs [] {
        /// Rising shares below `100%`; `[10%, 50%]` if nothing is said.
        steps: List<Percent, CANARY_STEPS_MAX>,
        /// How long each of them is watched; five minutes if nothing is said.
        hold: Span,
    }
}
