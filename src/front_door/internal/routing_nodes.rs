//! The nodes of routing and how they are.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use domain::region::NodeReport;
use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{WorkRefusals, admit};
use super::health::status_name;
use crate::front_door::engagement::schemas::SuccessStatus;
use crate::front_door::error::Problem;
use crate::front_door::reply;
use crate::front_door::router::Shared;
use crate::front_door::wire::time::Stamp;

/// A node of routing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeEntry {
    name: String,
    /// ORS or URS.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Empty if nobody said.
    region: String,
    /// primary or backup.
    role: &'static str,
    /// UP, DOWN or UNKNOWN (nobody has asked it yet).
    status: &'static str,
    /// Since when the status has been what it is.
    #[schema(value_type = String, format = DateTime)]
    since: Stamp,
    /// When it answered last; absent if it never did.
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_response: Option<Stamp>,
    /// Why it is down.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<NodeReport> for NodeEntry {
    fn from(report: NodeReport) -> Self {
        Self {
            name: report.node.name,
            kind: report.node.kind.name(),
            region: report.node.region.to_string(),
            role: report.node.role.name(),
            status: status_name(report.status),
            since: Stamp(report.since),
            last_response: report.last_response.map(Stamp),
            reason: report.reason,
        }
    }
}

/// The nodes of routing.
#[derive(Serialize, ToSchema)]
struct NodeList {
    nodes: Vec<NodeEntry>,
}

/// Answer to the question how the nodes of routing are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `reply` writes")]
pub(crate) struct NodesResponse {
    status: SuccessStatus,
    data: NodeList,
}

/// List the nodes of routing (ORS, URS) and how they are, as this node of the service sees them.
#[utoipa::path(
    get, path = "/ges/v1/routing/nodes", tag = "Internal",
    responses((status = 200, description = "In the order of the settings.", body = NodesResponse), WorkRefusals),
)]
pub(crate) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (context, ..) = admit(&shared, request)?;
    let nodes = shared.door.nodes.nodes().into_iter().map(NodeEntry::from).collect();
    Ok(reply::success(context.corr_id(), NodeList { nodes }))
}
