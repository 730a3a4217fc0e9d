//! Session mode with a client that holds transactions open. The rule, as the user guide has it: a
//! connection is closed once it has no transaction open, and an open one ends as it began.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::place::Place;
use crate::work::stay_after;
use crate::world::world;

const ROTATIONS: usize = 10;

/// Says `in` and `out` of each transaction, and rests between them: PgBouncer looks three times a
/// second for connections without one. A connection that ends after `out` is as announced;
/// anything else is not.
const SCRIPT: &str = r#"
until psql -h localhost -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
transactions() {
    echo '\echo out'
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        cat <<END
BEGIN;
\echo in
INSERT INTO lines (n) VALUES (1);
SELECT pg_sleep(0.3);
INSERT INTO lines (n) VALUES (2);
COMMIT;
\echo out
END
        sleep 0.8
    done
}
until [ "$(psql -h localhost -Atc 'SELECT count(*) > 0 FROM ended')" = t ]; do
    if transactions 2>/dev/null | psql -h localhost -qAt -v ON_ERROR_STOP=1 -f - >/tmp/out 2>/tmp/err
    then echo whole
    elif [ "$(tail -n 1 /tmp/out)" = out ]; then echo announced
    else echo "not announced: $(cat /tmp/err)"
    fi
done
echo the end
"#;

#[tokio::test]
async fn in_session_mode_connections_end_between_transactions_only() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "session").await?;
    let mode = json!({ "metadata": { "annotations": {
        "persistance.atlas.infoblox.com/dbproxy-pool-mode": "session",
    }}});
    place.pod("clerk", &stay_after(SCRIPT), mode).await?;
    let pod = place.ready("clerk").await?;
    for _ in 0..ROTATIONS {
        place.rotate(std::slice::from_ref(&pod)).await?;
    }
    place.end().await?;
    let output = place.says(&pod, "app", "the end").await?;
    let announced = output.lines().filter(|line| *line == "announced").count();
    ensure!(announced > 0, "no connection was ever closed: {output}");
    let others: Vec<_> = output
        .lines()
        .filter(|line| line.contains("not announced"))
        .collect();
    ensure!(others.is_empty(), "{others:?}");
    eprintln!(
        "{ROTATIONS} rotations in session mode: {announced} connections closed between transactions, 0 otherwise"
    );
    Ok(())
}
