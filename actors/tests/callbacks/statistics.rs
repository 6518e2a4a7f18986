//! Statistics: asked with the credentials that the tenant has registered, or not at all.

use actors::testing::{World, tenant_id};
use domain::ports::StatisticsError;
use domain::tenant::TenantDocument;

use super::support::{Service, seconds};

#[tokio::test(start_paused = true)]
async fn statistics_need_registered_credentials() {
    let service = Service::start(World::new()).await;
    let desk = service.tree.statistics_desk();
    assert_eq!(desk.statistics(tenant_id(), "{}", seconds(15)).await, Err(StatisticsError::NoCredentials));
    let document: TenantDocument = serde_json::from_value(serde_json::json!({
        "tenant": actors::testing::TENANT,
        "gws": { "clientId": "reporter", "clientSecret": { "env": "SECRET" } },
    }))
    .unwrap();
    let world = World::new();
    world.settings.put(document.resolve(tenant_id()).unwrap());
    world.statistics.say(Ok(r#"{"status":{"code":0}}"#));
    let service = Service::start(world).await;
    let desk = service.tree.statistics_desk();
    let answer = desk.statistics(tenant_id(), r#"{"data":1}"#, seconds(20)).await;
    assert_eq!(answer.as_deref(), Ok(r#"{"status":{"code":0}}"#));
    let asked = [("reporter".to_owned(), r#"{"data":1}"#.to_owned(), seconds(20))];
    assert_eq!(service.world.statistics.asked(), asked);
    service.world.statistics.say(Err(StatisticsError::CredentialsRefused));
    assert_eq!(desk.statistics(tenant_id(), "{}", seconds(15)).await, Err(StatisticsError::CredentialsRefused));
}
