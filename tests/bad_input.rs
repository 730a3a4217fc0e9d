//! Malformed claims and configs, one YAML file each. A header says how it must be answered:
//! `# expect: refused: <words>` by the API server, `# expect: condition <reason>: <words>` by the
//! controller, `# expect: config <words>` by the config file's reader (the header is its line 0).

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use api::claim::DatabaseClaim;
use api::conditions::Type;
use api::config::Config;
use kube::Resource;
use kube::api::{DynamicObject, PostParams};
use testkit::env;

use crate::claims::owned_database;
use crate::support::{Stage, existing, log_in, own};

/// What a file expects.
enum Answer {
    Refused,
    Condition { reason: String },
    Config,
}

struct Case {
    name: String,
    answer: Answer,
    words: String,
    yaml: String,
}

fn cases() -> Result<Vec<Case>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bad_input");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(&path)?;
            let name = path.file_stem().context("a name")?.to_string_lossy();
            cases.push(case(&name, &text).with_context(|| format!("{}", path.display()))?);
        }
    }
    Ok(cases)
}

fn case(name: &str, text: &str) -> Result<Case> {
    let (header, yaml) = text.split_once('\n').context("one line only")?;
    let expected = header.strip_prefix("# expect: ").context("no header")?;
    let (answer, words) = if let Some(words) = expected.strip_prefix("refused: ") {
        (Answer::Refused, words)
    } else if let Some(rest) = expected.strip_prefix("condition ") {
        let (reason, words) = rest.split_once(": ").context("no words")?;
        let reason = reason.to_owned();
        (Answer::Condition { reason }, words)
    } else if let Some(words) = expected.strip_prefix("config ") {
        (Answer::Config, words)
    } else {
        bail!("unknown expectation {expected}")
    };
    Ok(Case {
        name: name.to_owned(),
        answer,
        words: words.to_owned(),
        yaml: yaml.to_owned(),
    })
}

#[test]
fn row_88_a_malformed_config_is_refused_with_its_key_and_line() -> Result<()> {
    let all = cases()?.into_iter();
    for case in all.filter(|case| matches!(case.answer, Answer::Config)) {
        let Err(problems) = Config::parse(&case.yaml) else {
            bail!("{}: accepted", case.name);
        };
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let is_named = texts.iter().any(|text| text.contains(&case.words));
        assert!(is_named, "{}: {texts:?} names no {}", case.name, case.words);
    }
    Ok(())
}

#[tokio::test]
async fn row_4_a_malformed_claim_is_answered_and_disturbs_nobody() -> Result<()> {
    env(async |env| {
        let stage = Stage::of(env);
        let controller = env.controller("driftCheckPeriod: 1s\n").await?;
        let pid = controller.pid();
        let all = cases()?;
        assert!(all.len() >= 30, "{} cases", all.len());
        let mut reported = Vec::new();
        for case in &all {
            match &case.answer {
                Answer::Config => {}
                Answer::Refused => refused(&stage, case).await?,
                Answer::Condition { reason } => {
                    create(&stage, case)
                        .await?
                        .with_context(|| case.name.clone())?;
                    reported.push((case, reason));
                }
            }
        }
        for (case, reason) in reported {
            let ready = stage
                .condition(&claim_name(case), Type::Ready, reason)
                .await?;
            let (name, message) = (&case.name, &ready.message);
            assert!(message.contains(&case.words), "{name}: {message}");
            assert_eq!(ready.status, "False", "{name}");
        }
        let admin = owned_database(env).await?;
        stage.claim("good", existing(&own("clerk"), &admin)).await?;
        stage.ready("good").await?;
        log_in(&stage.secret("good").await?).await?;
        assert_eq!(controller.pid(), pid);
        assert!(controller.process().is_running());
        Ok(())
    })
    .await
}

fn claim_name(case: &Case) -> String {
    case.name.replace('_', "-")
}

/// Sends a claim as it was written, under its file's name and the test's class.
async fn create(stage: &Stage, case: &Case) -> Result<kube::Result<DynamicObject>> {
    let mut object: DynamicObject = serde_saphyr::from_str(&case.yaml)?;
    object.metadata.name = Some(claim_name(case));
    let spec = object
        .data
        .get_mut("spec")
        .and_then(|spec| spec.as_object_mut());
    if let Some(spec) = spec {
        spec.insert("class".to_owned(), stage.namespace.clone().into());
    }
    let kind = kube::api::ApiResource::erase::<DatabaseClaim>(&());
    let claims: kube::Api<DynamicObject> =
        kube::Api::namespaced_with(stage.client.clone(), &stage.namespace, &kind);
    assert_eq!(
        object.types.as_ref().map(|types| types.kind.as_str()),
        Some(&*DatabaseClaim::kind(&()))
    );
    Ok(claims.create(&PostParams::default(), &object).await)
}

async fn refused(stage: &Stage, case: &Case) -> Result<()> {
    let Err(kube::Error::Api(status)) = create(stage, case).await? else {
        bail!("{}: accepted", case.name);
    };
    let message = &status.message;
    assert!(message.contains(&case.words), "{}: {message}", case.name);
    Ok(())
}
