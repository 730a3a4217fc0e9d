//! Destinations without a database, and what stops the program at its start.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use testkit::wait::wait_for;

use crate::stage::Stage;

#[tokio::test]
async fn row_71_a_file_is_written_at_every_change_for_its_owner_only() -> Result<()> {
    let stage = Stage::new()?;
    stage.write("dsn", "host=h user=clerk_a port=5432")?;
    let config = r#"
configs:
  pgpass:
    sources: [{driver: postgres, filename: /files/dsn}]
    destination: {driver: fprintf, dsn: 'file:///files/out'}
    commands:
    - command: '{{ with index . "/files/dsn" }}{{ .host }}{{ end }}:%d:%s'
      args:
      - 'int32:{{ index . "/files/dsn" "port" }}'
      - '{{ index . "/files/dsn" "user" | upper }}'
"#;
    let program = stage.start(config, &[]).await?;
    program.ready().await?;
    let file = stage.path("out");
    assert_eq!(std::fs::read_to_string(&file)?, "h:5432:CLERK_A");
    assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
    stage.write("dsn", "host=h user=clerk_b port=5432")?;
    wait_for("the new text", async || {
        Ok((std::fs::read_to_string(&file)? == "h:5432:CLERK_B").then_some(()))
    })
    .await?;
    program.stop().await
}

#[tokio::test]
async fn row_71_programs_run_only_with_the_flag() -> Result<()> {
    let stage = Stage::new()?;
    let config = r"
configs:
  touch:
    destination: {driver: shelldb, dsn: anything}
    commands:
    - {command: touch, args: ['/files/touched; rm -rf /files/']}
";
    let (is_done, log) = stage.run(config, &["--once"]).await?;
    assert!(!is_done);
    assert!(log.contains("refused without --allow-shelldb"), "{log}");
    // No shell is between: the argument is one, whatever is in it, so there is no such folder.
    let program = stage.start(config, &["--allow-shelldb"]).await?;
    program
        .unready("config touch: command 1 (program): the program ended with exit status: 1")
        .await?;
    program.stop().await?;
    let config = config.replace("; rm -rf /files/", "");
    let (is_done, log) = stage.run(&config, &["--once", "--allow-shelldb"]).await?;
    assert!(is_done, "{log}");
    assert!(stage.path("touched").exists());
    Ok(())
}

#[tokio::test]
async fn row_70_what_a_config_may_not_hold_ends_the_program_at_its_start() -> Result<()> {
    let stage = Stage::new()?;
    let config = "
configs:
  bad:
    destination: {driver: fprintf, dsn: 'file:///files/out'}
    commands:
    - command: |
        first line
        {{ genPrivateKey `rsa` }}
";
    let (is_done, log) = stage.run(config, &[]).await?;
    assert!(!is_done);
    let want = "config bad: command 1, line 8 of the file: there is no function genPrivateKey";
    assert!(log.contains(want), "{log}");
    assert!(!stage.path("out").exists());
    Ok(())
}
