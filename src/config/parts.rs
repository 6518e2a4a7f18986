//! The settings, part by part. A doc comment here is at once the text of `docs/configuration.md`: it says what
//! the setting does, its unit, and what too small or too large a value brings about.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::network::Network;
use domain::region::Region;

use super::catalogue::{Setting, describe};
use super::kinds::{
    Address, Decimal, FilePath, Folder, HostOrUrl, LEVEL, LOG_FORMAT, Level, Line, LogFormat, Name, Networks, OneOf,
    Paths, SWITCH, Seconds, SecretText, Texts, Url, WebAddress, whole,
};
use super::nodes::{Document, NodeAddress, Nodes, Regions};
use super::reader::Reader;
use super::redis::{PrimaryName, RedisServer, RedisServers};
use super::secret::{Base64Key, Base64Keys, Key32, Secret};
use super::voice::{Host, HostAndPort, Location, VoiceRedis, VoiceRedisSecret};

/// Declares a part: the struct, how it is read, and its entries in the documentation, from one text.
///
/// `value(…, default)` always has a value, `optional(…)` may be absent.
macro_rules! part {
    (
        $(#[doc = $about:literal])+
        struct $part:ident, $title:literal {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $how:ident($name:literal, $kind:expr $(, $default:literal)?); )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $part {
            $(
                #[doc = concat!("`", $name, "`:")]
                $(#[doc = $doc])+
                pub $field: $type,
            )+
        }

        impl $part {
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $( let $field = reader.$how($name, &$kind $(, $default)?); )+
                Some(Self { $( $field: $field?, )+ })
            }

            /// Names of the settings that differ.
            pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $( if self.$field != other.$field { names.push($name); } )+
                names
            }

            pub(super) fn settings() -> Vec<Setting> {
                vec![
                    $( describe($title, $name, &$kind, [$($default,)? ""].first().copied(), concat!($($doc),+)), )+
                ]
            }
        }
    };
}

part! {
    /// Where the service listens, and how it is reached from inside.
    struct Listeners, "Listeners" {
        /// Address that both listeners bind. The default is this machine only; `0.0.0.0` opens them to the
        /// network (the image does so).
        bind_address: IpAddr = value("GES_BIND_ADDRESS", Address, "127.0.0.1");
        /// Port of the external listener: the public API. 0 takes any free port.
        external_port: u16 = value("GES_EXTERNAL_PORT", whole::<u16>(0, 65_535), "2050");
        /// Port of the internal listener: health, metrics, signals of routing. Never open it to the internet.
        /// 0 takes any free port.
        internal_port: u16 = value("GES_INTERNAL_PORT", whole::<u16>(0, 65_535), "3050");
        /// Where routing and other nodes reach the internal listener. The scheme (`https` with `GES_TLS_CERT`, else
        /// `http`) and the internal port are put in if absent. Without it: the bound address.
        internal_url: Option<Url> = optional("GES_INTERNAL_URL", HostOrUrl);
        /// What callers of the internal work routes must show as `Authorization: Bearer …`. Without it the
        /// internal listener trusts whoever reaches it.
        internal_token: Option<Secret> = optional("GES_INTERNAL_TOKEN", SecretText { min: 16, max: 512 });
        /// File in PEM form with the certificate that both listeners show, and behind it those of the authorities
        /// between it and one that clients know. With it both speak TLS (1.2 and 1.3) and nothing else, also to probes
        /// and to Prometheus. Looked at again every five seconds, with its key. Without it they speak plain HTTP.
        tls_cert: Option<PathBuf> = optional("GES_TLS_CERT", FilePath);
        /// File in PEM form with the key of that certificate (PKCS#8, PKCS#1 or SEC1), without a password. Nobody but
        /// the service should be able to read it.
        tls_key: Option<PathBuf> = optional("GES_TLS_KEY", FilePath);
    }
}

part! {
    /// Where the embedded service keeps its data, and who this node is.
    struct Data, "Data and node" {
        /// Folder of the embedded data (`ges.db` and the keys beside it), made if it is not there. Everything
        /// that was promised to a customer is in it: keep it on a disk that survives.
        data_dir: PathBuf = value("GES_DATA_DIR", Folder, "ges-data");
        /// API key of the demo tenant. Without it one is made at the first start, kept in `demo.key` in the data
        /// folder, and printed.
        demo_api_key: Option<Secret> = optional("GES_DEMO_API_KEY", SecretText { min: 16, max: 128 });
        /// Name of this node, the same over its restarts. A second node under the same name pushes the first
        /// one out; in cluster mode each has to be given its own, such as the name of its pod.
        node_name: String = value("GES_NODE_NAME", Name, "ges");
        /// Folders of secret files, one value per file: the file `DB-USER` sets `GES_DB_USER`, `GES-MASTER-KEY`
        /// sets `GES_MASTER_KEY`. Hidden files are left out; a line break at the end is no part of the value.
        config_folders: Vec<PathBuf> = value("GES_CONFIG_FOLDERS", Paths, "");
    }
}

/// The routing engines of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// The built-in contact centre.
    Simulator,
    /// Orchestration, through the stream in the voice services' Redis.
    Stream,
    /// Orchestration, through its REST interface.
    Rest,
}

/// How an engine takes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// It asks for it with `accepted`, and does nothing before that is granted.
    Explicit,
    /// Its first report of an attempt counts as if it had asked.
    Implicit,
}

/// Who says who may use the web interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Accounts kept by the service itself.
    Local,
    /// Genesys Web Services.
    Gws,
    /// A provider that speaks OpenID Connect.
    Oidc,
}

part! {
    /// The database of the cluster mode.
    struct Database, "Database" {
        /// Host of a PostgreSQL server, version 11 or newer. With it this is one of any number of equal nodes on that
        /// database (cluster mode): `GES_NODE_NAME` and `GES_MASTER_KEY` are needed, and there is no sample tenant.
        /// Without it everything is kept in `GES_DATA_DIR`, by one node.
        host: Option<String> = optional("GES_DB_HOST", Host);
        /// Its port.
        port: u16 = value("GES_DB_PORT", whole::<u16>(1, 65_535), "5432");
        /// Name of the database. It has to exist; its tables are made and brought up to date by the service.
        name: String = value("GES_DB_NAME", Name, "ges");
        /// Whether the connection is encrypted, with a certificate for the name of the host from an authority of the
        /// system or of `GES_CA_FILES`.
        secure: bool = value("GES_DB_SECURE", SWITCH, "false");
        /// Role in whose name the database is asked. It owns the tables, unless another one has made them (`ges migrate`).
        user: String = value("GES_DB_USER", Name, "ges");
        /// Its password, where the server asks for one.
        password: Option<Secret> = optional("GES_DB_PASSWORD", SecretText { min: 1, max: 512 });
    }
}

part! {
    /// The service's own Redis.
    struct Redis, "Redis" {
        /// Host of the Redis through which nodes tell each other what they would find out later, and share what they know;
        /// version 6.0 or newer. In a cluster any members, with sentinels the sentinels. Without it nodes hear of each
        /// other through the database alone: a little later, and positions and waits are known only to the node that was
        /// told. Only in cluster mode.
        host: Option<Vec<RedisServer>> = optional("GES_REDIS_HOST", RedisServers);
        /// Port of those that name none. Without it: 6379, or 26379 with sentinels.
        port: Option<u16> = optional("GES_REDIS_PORT", whole::<u16>(1, 65_535));
        /// Whether the connection is encrypted, with a certificate for the name of the first host from an authority of the
        /// system or of `GES_CA_FILES`.
        secure: bool = value("GES_REDIS_SECURE", SWITCH, "false");
        /// Whether it is a Redis Cluster, whose other members are then found through those that are named.
        cluster: bool = value("GES_REDIS_CLUSTER", SWITCH, "false");
        /// The name that the sentinels have for the primary. With it the hosts are sentinels, and the primary is found,
        /// and found again after a fail-over, through them.
        sentinel: Option<String> = optional("GES_REDIS_SENTINEL", PrimaryName);
        /// Password, where the servers ask for one. Sentinels are shown the same.
        cachekey: Option<Secret> = optional("GES_REDIS_CACHEKEY", SecretText { min: 1, max: 512 });
    }
}

part! {
    /// What stands behind the service.
    struct Choices, "What stands behind the service" {
        /// The routing engine: the built-in simulator; Orchestration through a Redis stream, which needs
        /// `GES_VMCS_REDIS_HOST` or `GES_ORS_REDIS_LOCATION`; or through its older REST interface, which needs
        /// `GES_ORS_NODES`. Without it: `stream` in cluster mode, else `simulator`. Each node simulates a contact
        /// centre of its own: in cluster mode only for trying things.
        routing: Option<Routing> = optional(
            "GES_ROUTING",
            OneOf(&[("simulator", Routing::Simulator), ("stream", Routing::Stream), ("rest", Routing::Rest)])
        );
        /// Where users of the interface are known: by the service itself (`ges users`), by Genesys Web Services, which
        /// needs a client (`GES_AUTHENTICATION_CLIENT_ID`), or by a provider that speaks OpenID Connect, which needs
        /// `GES_OIDC_ISSUER`. The latter two need `GES_PUBLIC_URL`.
        auth: Auth = value(
            "GES_AUTH",
            OneOf(&[("local", Auth::Local), ("gws", Auth::Gws), ("oidc", Auth::Oidc)]),
            "local"
        );
    }
}

part! {
    /// The voice services.
    struct Voice, "Voice services" {
        /// Host of the Redis that holds the stream; in a cluster any member.
        redis_host: Option<String> = optional("GES_VMCS_REDIS_HOST", Host);
        /// Its port, unless the secret names another.
        redis_port: u16 = value("GES_VMCS_REDIS_PORT", whole::<u16>(1, 65_535), "6379");
        /// Whether it is a Redis Cluster, whose other members are then found through this one.
        redis_cluster_mode: bool = value("GES_VMCS_REDIS_CLUSTER_MODE", SWITCH, "false");
        /// Name of the stream. What reads it has to look under the same name.
        redis_stream_name: String = value("GES_VMCS_REDIS_STREAM_NAME", Name, "NewCallbackStream");
        /// Where the Redis of Orchestration is, if not at `GES_VMCS_REDIS_HOST`; it goes before that. Without a port:
        /// 10000.
        ors_redis_location: Option<Location> = optional("GES_ORS_REDIS_LOCATION", HostAndPort);
        /// The secret file `voice-redis-ors-stream` (or `voice_redis_ors_stream`): credentials of that Redis. Its port
        /// goes before other settings. The connection is encrypted if `servername` or `rejectUnauthorized` is in it;
        /// with `rejectUnauthorized` false any certificate is taken, and whoever stands between can read along.
        secret: Option<VoiceRedisSecret> = optional("GES_VOICE_REDIS_ORS_STREAM", VoiceRedis);
        /// Nodes of Orchestration: where `GES_ROUTING=rest` starts sessions. With `stream` they are only watched: their
        /// status is told, and a region in which none answers is named last.
        ors_nodes: Vec<NodeAddress> = value("GES_ORS_NODES", Nodes, "");
        /// Nodes of Universal Routing. They are only watched: `ALL_URS_DOWN` is 1 while none answers.
        urs_nodes: Vec<NodeAddress> = value("GES_URS_NODES", Nodes, "");
        /// Regions that are tried first, for queues without a region rule and behind the regions of a rule. Ask the
        /// vendor before you set it: what callbacks prefer may not be what their agents can serve.
        region_affinity: Vec<Region> = value("GES_REGION_AFFINITY", Regions, "");
        /// The flow of callbacks as Orchestration fetches it (`src`), for `GES_ROUTING=rest`. It is one for all queues:
        /// `options` and `virtualQueue` tell it which. Without it no `src` is sent, which Orchestration itself refuses;
        /// engines that have a flow of their own may not need it.
        ors_scxml_url: Option<String> = optional("GES_ORS_SCXML_URL", Document);
        /// `explicit`: a flow asks for its attempt with `accepted` and does nothing before that is granted. `implicit`,
        /// for flows that cannot: the first report of an attempt counts as if it had asked. Two flows that were begun
        /// for one attempt are then told apart only when the second one reports, which may be after it has dialled.
        accept: Accept =
            value("GES_ORS_ACCEPT", OneOf(&[("explicit", Accept::Explicit), ("implicit", Accept::Implicit)]), "explicit");
    }
}

part! {
    /// The built-in contact centre.
    struct Sim, "Simulator" {
        /// Divides the simulator's own durations; waits that it reports stay real seconds, and no clock is
        /// scaled. At 1 a lone callback is finished in 30 s; large values leave nothing to look at.
        speed: f64 = value("GES_SIM_SPEED", Decimal(0.01, 10_000.0), "1");
        /// Seed of everything that is left to chance: equal seeds give equal runs.
        seed: u64 = value("GES_SIM_SEED", whole::<u64>(0, u64::MAX), "1");
        /// Agents per queue. With few, callbacks wait; with many, none does.
        agents: u32 = value("GES_SIM_AGENTS", whole::<u32>(1, 100_000), "5");
    }
}

part! {
    /// How much is let in, and for how long.
    struct Limits, "Limits" {
        /// Callbacks of which the node keeps an actor at the same time, some 10 kB each. Above it the longest
        /// idle ones rest in the database until something happens to them: too small costs reads, too large
        /// costs memory.
        session_limit: usize = value("GES_SESSION_LIMIT", whole::<usize>(1, 1_000_000), "50000");
        /// Open connections of the external listener; over it a new one is answered 503 (not with TLS) and closed. Each
        /// costs a file descriptor: `ulimit -n` must be larger.
        external_connections: usize = value("GES_MAX_CONNECTIONS", whole::<usize>(1, 1_000_000), "20000");
        /// Open connections of the internal listener; over it a new one is answered 503 (not with TLS) and closed.
        internal_connections: usize = value("GES_MAX_INTERNAL_CONNECTIONS", whole::<usize>(1, 1_000_000), "2000");
        /// Requests between head and answer, per listener; over it they get 503 before any work is done. Too
        /// small refuses what could be served, too large lets answers come late instead of not at all.
        requests_in_flight: usize = value("GES_MAX_REQUESTS_IN_FLIGHT", whole::<usize>(1, 100_000), "2048");
        /// Longest request body in bytes; longer ones get 413. User data of large installations reaches 100 kB; more than
        /// 1 MiB of it is refused whatever this says.
        body_bytes: usize = value("GES_MAX_BODY_BYTES", whole::<usize>(1_024, 16_777_216), "1048576");
        /// Seconds from the end of a request's head to its answer, body included; then 408, or 500 if its body was read:
        /// its outcome is not known then. Below 10 it may end before the service's own deadlines and hide an outcome.
        request_timeout: Duration = value("GES_REQUEST_TIMEOUT_SECONDS", Seconds(1, 300), "30");
        /// Seconds for which the service goes on serving after SIGTERM while it says that it is not ready, so
        /// that balancers look elsewhere. SIGINT (Ctrl-C) does not wait. Too small costs callers refused
        /// connections during a rolling upgrade.
        drain: Duration = value("GES_DRAIN_SECONDS", Seconds(0, 300), "5");
    }
}

part! {
    /// How services outside are called: CAPTCHA, statistics, push, webhooks.
    struct Outward, "Calls to the outside" {
        /// Files in PEM form with certificate authorities that are trusted beside the system's own, for services
        /// with private certificates. Read at the start.
        ca_files: Vec<PathBuf> = value("GES_CA_FILES", Paths, "");
        /// Proxy through which services outside are called, those of the routing engine excepted. It then looks
        /// names up, so it is the proxy that has to keep tenants' URLs away from private addresses. The usual
        /// variables of the environment (`HTTPS_PROXY` and the like) are not read.
        http_proxy: Option<Url> = optional("GES_HTTP_PROXY", WebAddress);
        /// Whether URLs that a tenant names (webhooks, push over HTTP, CAPTCHA and statistics servers) may lead to
        /// private, loopback and link-local addresses and be plain HTTP. True lets whoever may write a tenant's
        /// settings reach what stands beside the service; for tests, and where tenants are the operator's own.
        allow_private: bool = value("GES_ALLOW_PRIVATE_DESTINATIONS", SWITCH, "false");
    }
}

part! {
    /// Where Genesys Web Services are.
    struct Gws, "Genesys Web Services" {
        /// Base address of the authentication service: for the service's own client, and for tenants whose settings
        /// name none. Scheme `http` is put in if absent.
        auth: Option<Url> = optional("GES_GWS_AUTH", HostOrUrl);
        /// Base address of the environment service, which lists the contact centres: their tenants appear and vanish
        /// with them. Without it tenants are those that have documents. Needs a client.
        env: Option<Url> = optional("GES_GWS_ENV", HostOrUrl);
        /// Base address of the configuration service, which knows users with their access groups, and virtual queues.
        /// Needs a client.
        conf: Option<Url> = optional("GES_GWS_CONF", HostOrUrl);
        /// Base address of the authentication service as browsers reach it, where users log in. Without it:
        /// `GES_GWS_AUTH`.
        public_auth: Option<Url> = optional("GES_GWS_PUBLIC_AUTH", HostOrUrl);
        /// Base address of the statistics service, for tenants whose settings name none. Scheme `http` is put in if
        /// absent. Without it such tenants get no statistics.
        stats: Option<Url> = optional("GES_GWS_STATS", HostOrUrl);
        /// Seconds between two readings of the contact centres. Small asks much; large lets a new contact centre wait.
        refresh: Duration = value("GES_GWS_REFRESH_SECONDS", Seconds(1, 3_600), "60");
        /// Name of the service's own client, as a secret file `AUTHENTICATION-CLIENT-ID`.
        client_id: Option<Secret> = optional("GES_AUTHENTICATION_CLIENT_ID", SecretText { min: 1, max: 255 });
        /// Its secret, as a secret file `AUTHENTICATION-CLIENT-PASSWORD`.
        client_password: Option<Secret> =
            optional("GES_AUTHENTICATION_CLIENT_PASSWORD", SecretText { min: 1, max: 2_048 });
        /// The same under its other name, as a secret file `AUTHENTICATION-CLIENT-SECRET`. One of the two is enough.
        client_secret: Option<Secret> = optional("GES_AUTHENTICATION_CLIENT_SECRET", SecretText { min: 1, max: 2_048 });
        /// What opens the secret of the client, where that is encoded with AES-128-ECB as in the product (see
        /// [gws](gws.md)). Without it the secret counts as it stands, which is better: keep it in a secret file.
        decrypt_password: Option<Secret> = optional("GES_DECRYPT_PASSWORD", SecretText { min: 1, max: 255 });
    }
}

part! {
    /// Users of the interface.
    struct UserAccess, "Users" {
        /// Where browsers reach the external listener. Users who log in elsewhere come back to
        /// `/ges/v1/session/callback` there, which the provider has to know as an address of its client.
        public_url: Option<Url> = optional("GES_PUBLIC_URL", WebAddress);
        /// Access groups whose members look after the installation: they see every tenant and change nothing.
        devops_access_groups: Vec<String> = value(
            "GES_DEVOPS_ACCESS_GROUPS",
            Texts,
            "Platform Read Only,Platform Provisioning,Platform Internal Administrator"
        );
        /// Seconds without a request after which a session ends.
        session_idle: Duration = value("GES_SESSION_IDLE_SECONDS", Seconds(1, 86_400), "1200");
        /// Seconds after which a session ends, however busy. Small makes users log in often; large lets a stolen cookie
        /// live long.
        session_life: Duration = value("GES_SESSION_LIFE_SECONDS", Seconds(60, 604_800), "43200");
        /// Sessions of one user at a time; one more ends the one that was used least lately.
        sessions_per_user: usize = value("GES_SESSIONS_PER_USER", whole::<usize>(1, 100), "5");
        /// Seconds after which the provider is asked again about a user who is at work: so long a change of groups may
        /// take. Local accounts are looked at with each request.
        user_refresh: Duration = value("GES_USER_REFRESH_SECONDS", Seconds(1, 3_600), "300");
        /// Whether cookies are sent over encrypted connections only. Without it: yes, unless the service is embedded,
        /// speaks no TLS, and `GES_PUBLIC_URL` does not begin with `https`.
        secure_cookies: Option<bool> = optional("GES_SECURE_COOKIES", SWITCH);
        /// Proxies whose header `X-Forwarded-For` tells from which address somebody logs in: refused log-ins count by
        /// address. Too few and all users behind a proxy count as one; too many and whoever is among them can claim any.
        trusted_proxies: Vec<Network> = value(
            "GES_TRUSTED_PROXIES",
            Networks,
            "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16,fc00::/7,fe80::/10"
        );
        /// The provider's issuer: below it is `/.well-known/openid-configuration`.
        oidc_issuer: Option<Url> = optional("GES_OIDC_ISSUER", WebAddress);
        /// Name of our client there.
        oidc_client_id: Option<String> = optional("GES_OIDC_CLIENT_ID", Line);
        /// Its secret. Without it the client is a public one.
        oidc_client_secret: Option<Secret> = optional("GES_OIDC_CLIENT_SECRET", SecretText { min: 1, max: 512 });
        /// What is asked for, beside `openid`.
        oidc_scopes: Vec<String> = value("GES_OIDC_SCOPES", Texts, "profile,offline_access");
        /// The claim that lists a user's access groups.
        oidc_groups_claim: String = value("GES_OIDC_GROUPS_CLAIM", Line, "groups");
        /// The claim that names a user's tenant, by its name or id.
        oidc_tenant_claim: String = value("GES_OIDC_TENANT_CLAIM", Line, "tenant");
        /// The tenant of users without that claim. Without it they are not let in.
        oidc_tenant: Option<String> = optional("GES_OIDC_TENANT", Line);
    }
}

part! {
    /// Log lines.
    struct Log, "Log" {
        /// Least important lines that are written: ERROR, WARN, INFO, DEBUG or TRACE (FATAL reads as ERROR).
        /// Libraries are held at WARN, and at INFO under TRACE, because theirs could print keys and bodies.
        level: Level = value("GES_LOG_LEVEL", LEVEL, "INFO");
        /// Longest message and longest text of a field in bytes; the rest is cut and marked.
        max_len_bytes: usize = value("GES_LOG_MAX_LEN", whole::<usize>(64, 1_048_576), "2048");
        /// `json` writes one object per line, `text` is for people. Without it: `text` on a terminal, else `json`.
        format: Option<LogFormat> = optional("GES_LOG_FORMAT", LOG_FORMAT);
    }
}

part! {
    /// Traces and metrics.
    struct Telemetry, "Telemetry" {
        /// Base URL of an OTLP collector (HTTP, protobuf) for traces; `/v1/traces` is added. Without it no trace
        /// is made.
        otlp_endpoint: Option<Url> = optional("GES_OTLP_ENDPOINT", WebAddress);
        /// Also export stand-ins for the Node.js metrics that older dashboards draw.
        node_metrics: bool = value("GES_NODE_METRICS", SWITCH, "false");
    }
}

part! {
    /// The installation's master key, and those before it.
    struct MasterKeySetting, "Keys" {
        /// Opens the root key in the database, of which those for API keys, credentials and cookies are made. Without it
        /// the embedded service makes `master.key` in its data folder at the first start. With another key than before, and
        /// without that one in `GES_MASTER_KEY_OLD`, nothing starts.
        master_key: Option<Key32> = optional("GES_MASTER_KEY", Base64Key);
        /// Master keys that open the root key as well: the one before while it is replaced, or already the next one. What one of
        /// these opens is sealed under `GES_MASTER_KEY` from then on.
        old_master_keys: Vec<Key32> = value("GES_MASTER_KEY_OLD", Base64Keys, "");
    }
}
