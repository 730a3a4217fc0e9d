//! A labelled pod on a node: it starts, it is served on localhost, and nobody else is.

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::net::TcpStream;

use crate::place::Place;
use crate::pods::{address, containers};
use crate::world::world;

#[tokio::test]
async fn a_labelled_pod_is_served_on_localhost_and_nobody_outside_is() -> Result<()> {
    let Some(world) = world().await? else {
        return Ok(());
    };
    let place = Place::new(&world, "injected").await?;
    let script =
        "until psql -h localhost -Atc 'SELECT current_user'; do sleep 0.2; done; sleep 1000";
    place.pod("till", script, json!({})).await?;
    let pod = place.ready("till").await?;
    assert_eq!(containers(&pod).len(), 2);
    place.says(&pod, "app", "clerk").await?;
    for port in [5432, 6432] {
        let outside = TcpStream::connect((address(&pod)?, port)).await;
        let error = outside.err().map(|err| err.kind());
        ensure!(
            error == Some(std::io::ErrorKind::ConnectionRefused),
            "port {port} from outside: {error:?}"
        );
    }
    place.rotate(&[pod]).await
}
