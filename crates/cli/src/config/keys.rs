//! Every key of the configuration, in the order of the documentation.
//!
//! This table is the schema, the documentation and the check: `docs/configuration.md` is printed
//! from it, a file is held against it, and the defaults below are read as if they stood in the file.

use super::schema::Kind::{
    Address, Bool, Driver, Duration, Fields, Headers, Hooks, Integer, Items, List, Patterns,
    Platforms, Prefix, Provider, Secret, Section, TcpAddress, Text, Url, UrlPath, Version, Word,
    WordOfAnyCase,
};
use super::schema::{Row, driver_not_yet, gone, key, not_yet, provider_not_yet};
use super::validation::PLATFORM_WORDS;

/// The only version of the format that there ever was.
pub(crate) const VERSION: &str = "0.1";

/// The fewest concurrent calls of the filesystem driver; Distribution raises lower numbers to this.
pub(crate) const MIN_THREADS: i64 = 25;

const FAILURES: &str = "How many times in a row it must fail before it counts; `0` is as `1`.";

/// The table.
pub(crate) static KEYS: &[Row] = &[
    key(
        "version",
        Version,
        "The version of the format: `0.1`, quoted or not. Required in a file.",
    ),
    key("log", Section, "What the program says about itself, on standard error."),
    key(
        "log.level",
        WordOfAnyCase(&["error", "warn", "info", "debug"]),
        "The least serious line that is written. `RUST_LOG` is not read.",
    )
    .default("info")
    .old("loglevel"),
    key(
        "log.formatter",
        Word(&["text", "json", "logstash"]),
        "The form of a line. `logstash` is JSON with the names that Distribution 2 writes: `@timestamp`, \
         `@version`, `message`.",
    )
    .default("text"),
    key("log.fields", Fields, "Fields that are added to every line, such as `service: registry`.")
        .default("{}"),
    key("log.reportcaller", Bool, "Adds the place in the source, `file` and `line`, to every line.")
        .default("false"),
    key(
        "log.hooks",
        Hooks,
        "Mail for log lines. Not supported: alarms belong to whoever reads the log and the metrics. A hook \
         with `disabled: true` may stay in the file.",
    ),
    key(
        "log.accesslog",
        Section,
        "One line for each request, on standard output: see `wharfinger.accesslog`.",
    ),
    key("log.accesslog.disabled", Bool, "Leaves out the line for each request.").default("false"),
    key("storage", Section, "Where the content lies. Exactly one driver is named below it."),
    key("storage.filesystem", Driver, "Keeps the content in a directory."),
    key(
        "storage.filesystem.rootdirectory",
        Text,
        "The directory, in Distribution's layout. A relative path counts from the working directory.",
    )
    .default("/var/lib/registry"),
    key(
        "storage.filesystem.maxthreads",
        Integer(i64::MIN),
        "How many calls may wait for the disk at once. There are never more than 16, so that it only \
         stands here for Distribution's sake. Less than 25 is raised to 25, as there, with a warning.",
    )
    .default("100"),
    key("storage.inmemory", Driver, "Keeps the content in memory: all is lost at exit."),
    key("storage.redirect", Section, "Whether clients are sent to the storage itself."),
    key(
        "storage.redirect.disable",
        Bool,
        "Gives out all content itself. A directory and memory have nothing to send clients to, so that this \
         only stands here for Distribution's sake.",
    )
    .default("false"),
    key("storage.tag", Section, "Tags."),
    key(
        "storage.tag.concurrencylimit",
        Integer(0),
        "How many tags are looked at at once when a manifest is deleted, for those that point at it; 64 at \
         most. `0` stands for as many as there are cores.",
    )
    .default("0"),
    key("storage.delete", Section, "Deleting of tags, manifests and blobs."),
    key("storage.delete.enabled", Bool, "Allows DELETE; otherwise it answers 405.")
        .default("false"),
    key(
        "storage.cache",
        Section,
        "The cache of blob descriptors (size and media type). It is asked where the storage is far away; a \
         filesystem answers as fast as a cache, and there it does nothing.",
    ),
    key(
        "storage.cache.blobdescriptor",
        Word(&["inmemory"]),
        "Where the cache lies. Not given: there is none. `redis` is not supported yet.",
    )
    .old("storage.cache.layerinfo"),
    key(
        "storage.cache.blobdescriptorsize",
        Integer(1),
        "How many descriptors the cache holds. There is no unlimited cache (Distribution: 0 and less).",
    )
    .default("10000"),
    key("storage.maintenance", Section, "What keeps the storage in order."),
    key(
        "storage.maintenance.readonly",
        Section,
        "A registry that changes nothing, so that garbage can be collected while it serves.",
    ),
    key(
        "storage.maintenance.readonly.enabled",
        Bool,
        "Refuses whatever would change anything with 405, and purges nothing.",
    )
    .default("false"),
    key(
        "storage.maintenance.uploadpurging",
        Section,
        "Removing uploads that nobody goes on with. (Distribution: whoever gives the section has to give \
         all of it; here the defaults stand for what is missing.)",
    ),
    key("storage.maintenance.uploadpurging.enabled", Bool, "Purges in the background.")
        .default("true"),
    key(
        "storage.maintenance.uploadpurging.age",
        Duration,
        "How long ago an upload must have been written to last, before it is removed.",
    )
    .default("168h"),
    key(
        "storage.maintenance.uploadpurging.interval",
        Duration,
        "How long after one round the next one begins; at least a minute. The first begins at a random \
         time within the first hour.",
    )
    .default("24h"),
    key(
        "storage.maintenance.uploadpurging.dryrun",
        Bool,
        "Only logs what would be removed.",
    )
    .default("false"),
    key(
        "auth",
        Section,
        "Who may use the registry. At most one provider is named below it; without one, everybody who \
         can connect may do everything.",
    ),
    key("auth.none", Provider, "Nobody is asked. Says that this is meant, so that no warning does."),
    key(
        "auth.silly",
        Provider,
        "Lets in whoever sends any `Authorization` at all: for tests of clients.",
    ),
    key("auth.silly.realm", Text, "Where clients are told to get a token. Required with `silly`."),
    key("auth.silly.service", Text, "What the token is said to be for. Required with `silly`."),
    key("auth.htpasswd", Provider, "Lets in the users of a file, each with a password."),
    key(
        "auth.htpasswd.realm",
        Text,
        "What clients are told that the password is for. Required with `htpasswd`.",
    ),
    key(
        "auth.htpasswd.path",
        Text,
        "The file, as `htpasswd -Bbn USER PASSWORD` prints it: bcrypt alone, of cost 4 to 16. It must be \
         there (Distribution makes one, with a password in the log). A change counts within a second. \
         Required with `htpasswd`.",
    ),
    key("http", Section, "How clients reach the registry."),
    key(
        "http.addr",
        Address,
        "Where to listen, as `HOST:PORT`; `:5000` is port 5000 on all interfaces. With `http.net: unix` \
         the path of the socket. Sockets that systemd hands down are used in its place. \
         (Distribution without it: a random port on all interfaces.)",
    )
    .default("127.0.0.1:5000"),
    key(
        "http.net",
        Word(&["tcp", "unix"]),
        "What is listened on. A Unix socket is for the user of the registry alone (mode 0600); one that \
         nobody listens on any more is replaced, another file is not.",
    )
    .default("tcp"),
    key(
        "http.host",
        Url,
        "What the URLs begin with that clients are given, such as `https://registry.example:5000`. Its path \
         counts, and `http.prefix` is not added. It comes before what a request and its proxies say. \
         (Distribution ignores one without `http://` or `https://`.)",
    ),
    key(
        "http.prefix",
        Prefix,
        "The path below which the registry is, such as `/registry`. `/` itself answers 200 all the same. \
         (With one that does not begin with `/` Distribution answers 404 to everything.)",
    )
    .default("/"),
    key(
        "http.relativeurls",
        Bool,
        "Gives clients URLs without scheme and host. `http.host` comes before it.",
    )
    .default("false"),
    key(
        "http.headers",
        Headers,
        "What every answer has besides its own headers, as `Name: [value, …]`. Every answer has \
         `X-Content-Type-Options: nosniff`, unless another value stands here.",
    )
    .default("{}"),
    key("http.tls", Section, "TLS from files. They are read again when they change, and at SIGHUP."),
    key(
        "http.tls.certificate",
        Text,
        "The PEM file of the certificate, with those between it and a root behind it. Not given: no TLS.",
    ),
    key("http.tls.key", Text, "The PEM file of its private key, not encrypted."),
    key(
        "http.tls.clientcas",
        List,
        "PEM files of the authorities that sign certificates of clients. Not given: clients need none.",
    ),
    key(
        "http.tls.clientauth",
        Word(&[
            "request-client-cert",
            "require-any-client-cert",
            "verify-client-cert-if-given",
            "require-and-verify-client-cert",
        ]),
        "What is asked of clients where there are `clientcas`: one of any authority, or none; one of any \
         authority; one of `clientcas`, or none; one of `clientcas`. Not given: the last.",
    ),
    key(
        "http.tls.minimumtls",
        Word(&["tls1.2", "tls1.3"]),
        "The lowest version that is spoken. Not given: `tls1.2`.",
    ),
    key(
        "http.tls.ciphersuites",
        List,
        "The cipher suites that may be used, by Go's names. Not given: all there are, which have \
         authenticated encryption and forward secrecy. Weak ones of Go are left out with a warning. Where \
         no suite of TLS 1.3 is named all of them stay; where none of TLS 1.2 is named it is not spoken.",
    ),
    key("http.http2", Section, "HTTP/2 over TLS."),
    key("http.http2.disabled", Bool, "Does not offer HTTP/2 over TLS.").default("false"),
    key("http.h2c", Section, "HTTP/2 without TLS."),
    key(
        "http.h2c.enabled",
        Bool,
        "Speaks HTTP/2 without TLS to clients that begin with it (prior knowledge).",
    )
    .default("false"),
    key(
        "http.secret",
        Secret,
        "Signs the state that clients carry between the requests of an upload. Registries that share \
         a storage need the same one. Not given: 32 random bytes each time the program starts, with a \
         warning; uploads then do not outlive the process.",
    ),
    key(
        "http.draintimeout",
        Duration,
        "How long requests may go on after SIGTERM. What they leave to be \
         saved has 30 s more. `0` ends them at once, which is Distribution's \
         default.",
    )
    .default("60s"),
    key(
        "http.debug",
        Section,
        "A listener for operators: `/debug/health`, `/livez`, `/readyz` and metrics.",
    ),
    key(
        "http.debug.addr",
        TcpAddress,
        "Where it listens. Not given: nowhere. It asks nobody who they are: give an address that only \
         operators reach. It shows neither the configuration nor a secret.",
    ),
    key("http.debug.prometheus", Section, "Metrics, on the listener for operators."),
    key("http.debug.prometheus.enabled", Bool, "Shows metrics.").default("false"),
    key("http.debug.prometheus.path", UrlPath, "Where they are shown.").default("/metrics"),
    key(
        "health",
        Section,
        "While one of these checks fails, every request is answered with 503. Each is made after its \
         interval for the first time.",
    ),
    key("health.storagedriver", Section, "The storage answers."),
    key("health.storagedriver.enabled", Bool, "Makes this check.").default("false"),
    key("health.storagedriver.interval", Duration, "How often; `0` is the default.").default("10s"),
    key("health.storagedriver.threshold", Integer(0), FAILURES).default("0"),
    key("health.file", Items, "Files that must not be there: making one takes the registry out of service."),
    key("health.file.file", Text, "The file."),
    key("health.file.interval", Duration, "How often; `0` is the default.").default("10s"),
    key("health.file.threshold", Integer(0), FAILURES).default("0"),
    key("health.http", Items, "Pages that must answer HEAD; redirects are followed, five at most."),
    key("health.http.uri", Text, "The page, `http://…`. TLS is not supported here."),
    key("health.http.statuscode", Integer(100), "The status that it must have.").default("200"),
    key(
        "health.http.timeout",
        Duration,
        "How long it may take. (Distribution: for ever.) `0` is the default.",
    )
    .default("10s"),
    key("health.http.interval", Duration, "How often; `0` is the default.").default("10s"),
    key("health.http.threshold", Integer(0), FAILURES).default("0"),
    key("health.http.headers", Fields, "Headers to send, to the host of the page alone.").default("{}"),
    key("health.tcp", Items, "Addresses that must take connections."),
    key("health.tcp.addr", Text, "The address, `HOST:PORT`."),
    key(
        "health.tcp.timeout",
        Duration,
        "How long it may take. (Distribution: for ever.) `0` is the default.",
    )
    .default("10s"),
    key("health.tcp.interval", Duration, "How often; `0` is the default.").default("10s"),
    key("health.tcp.threshold", Integer(0), FAILURES).default("0"),
    key("wharfinger", Section, "What Distribution does not have."),
    key(
        "wharfinger.accesslog",
        Word(&["combined", "structured"]),
        "The form of the line for each request. `combined`: on standard output, as Distribution and most \
         web servers write it. `structured`: among the other lines and in their form, with the request's id, \
         its duration and whether it was cut.",
    )
    .default("combined"),
    key("wharfinger.limits", Section, "What clients may use at once."),
    key(
        "wharfinger.limits.connections",
        Integer(1),
        "Connections that are open; further ones wait. Never more than a third of the files that the system \
         lets the process open.",
    )
    .default("10000"),
    key(
        "wharfinger.limits.addressconnections",
        Integer(1),
        "Connections of one address; requests on further ones are answered with 429. Never more than half of \
         all. Behind a proxy all clients have its address, unless it comes over a Unix socket: there is no \
         such limit.",
    )
    .default("5000"),
    key(
        "wharfinger.limits.requests",
        Integer(1),
        "Requests under way; further ones are answered with 503.",
    )
    .default("10000"),
    key(
        "wharfinger.limits.uploads",
        Integer(1),
        "Requests under way that bring content; further ones are answered with 503. Never more than nine \
         tenths of the connections, so that content can still be pulled.",
    )
    .default("9000"),
    key(
        "wharfinger.limits.manifestmemory",
        Integer(4_194_304),
        "Bytes of manifests that are being pushed, held in memory; further ones are answered with 503. \
         One address has a quarter of it at most, and beyond that gets 429.",
    )
    .default("67108864"),
    key(
        "wharfinger.durability",
        Word(&["full", "group", "none"]),
        "What an answer promises. `full`: the content survives a power cut; nothing waits for \
         others. `group`: the same, but a write may wait up to 5 ms to share its sync with others. \
         `none`: a crash of the machine may lose what was acknowledged.",
    )
    .default("full"),
    key(
        "wharfinger.verify",
        Word(&["changed", "always", "never"]),
        "When bytes are held against their digest before they are served. `changed`: when the blob is not \
         as it was when last verified. `always`: at each complete read. `never`: only when written.",
    )
    .default("changed"),
    key("wharfinger.manifests", Section, "What a manifest needs."),
    key(
        "wharfinger.manifests.sparse",
        Bool,
        "Accepts manifests whose blobs or children are not in the repository.",
    )
    .default("false"),
    key("wharfinger.catalog", Section, "The list of repositories."),
    key(
        "wharfinger.catalog.rescan",
        Duration,
        "How late a repository may be listed that another process has made in the same storage; its own are \
         listed at once. Where a walk through all repositories takes more than a twentieth of this, twenty \
         times as long as it takes: see [operation.md](operation.md#the-list-of-repositories). `0` walks the \
         storage for each page.",
    )
    .default("1s"),
    key(
        "wharfinger.content",
        Items,
        "Sockets of containerd's content service, for a containerd to have its content there: see \
         [content.md](content.md).",
    ),
    key(
        "wharfinger.content.socket",
        Text,
        "Where to listen; only our own user can connect. The directory must be closed to others' writes.",
    ),
    key(
        "wharfinger.content.tenant",
        Text,
        "Whose content it is. Not given: the name of the socket, without its ending.",
    ),
    key(
        "wharfinger.content.mode",
        Word(&["plugin", "direct"]),
        "Whom it serves. `plugin`: a containerd that has us as its content plugin. `direct`: clients of \
         containerd, as if we were it.",
    )
    .default("plugin"),
    key(
        "wharfinger.content.share",
        Bool,
        "Whether what anybody has stored is had by its digest. Not given: `true` for `plugin`, else `false`.",
    ),
    key("validation", Section, "What is asked of manifests that are pushed."),
    key(
        "validation.disabled",
        Bool,
        "Takes layers from any URL, and indexes whose manifests are missing, whatever stands below.",
    )
    .default("false"),
    key("validation.enabled", Bool, "`true` takes `disabled` back; `false` alone changes nothing."),
    key("validation.manifests", Section, "What they may refer to."),
    key(
        "validation.manifests.urls",
        Section,
        "The URLs of layers that are in no registry. Without any expression all with `http` and \
         `https` are taken (Distribution: none).",
    ),
    key(
        "validation.manifests.urls.allow",
        Patterns,
        "Expressions of which one has to match somewhere in the URL; without them all do.",
    ),
    key("validation.manifests.urls.deny", Patterns, "Expressions of which none may match."),
    key("validation.manifests.indexes", Section, "What has to be there of an index."),
    key(
        "validation.manifests.indexes.platforms",
        WordOfAnyCase(PLATFORM_WORDS),
        "Of which platforms the manifests have to be there. `list`: those of `platformlist`.",
    )
    .default("all"),
    key(
        "validation.manifests.indexes.platformlist",
        Platforms,
        "What `platforms: list` asks for; without it that asks for all.",
    ),
    key("catalog", Section, "The list of repositories."),
    key(
        "catalog.maxentries",
        Integer(i64::MIN),
        "Most repositories of a page. More are refused; without a number, a page has 100. 0 and less \
         stand for the default.",
    )
    .default("1000"),
    key("tags", Section, "The lists of tags."),
    key(
        "tags.maxtags",
        Integer(0),
        "Most tags of a page. Whoever asks for more gets as many; who names no number gets all. 0 \
         stands for the default.",
    )
    .default("1000"),
    // What Distribution knows and this program does not.
    driver_not_yet("storage.s3"),
    driver_not_yet("storage.s3aws"),
    driver_not_yet("storage.gcs"),
    driver_not_yet("storage.azure"),
    not_yet("middleware", &["registry", "repository", "storage"]),
    provider_not_yet("auth.token"),
    not_yet("http.tls.letsencrypt", &["cachefile", "email", "hosts", "directoryurl"]),
    not_yet("notifications", &["events", "endpoints"]),
    not_yet("redis", REDIS),
    not_yet("proxy", &["remoteurl", "username", "password", "exec", "ttl", "cachewritetimeout"]),
    not_yet("policy", &["repository"]),
    gone("storage.oss", Driver, &["*"]),
    gone("storage.swift", Driver, &["*"]),
    gone("compatibility", Section, &["schema1"]),
    gone("reporting", Section, &["bugsnag", "newrelic"]),
];

/// Both the old and the new names of Redis settings.
const REDIS: &[&str] = &[
    "addr",
    "addrs",
    "options",
    "clientname",
    "username",
    "password",
    "sentinelusername",
    "sentinelpassword",
    "mastername",
    "identitysuffix",
    "db",
    "protocol",
    "contexttimeoutenabled",
    "poolfifo",
    "readonly",
    "routebylatency",
    "routerandomly",
    "disableidentity",
    "unstableresp3",
    "maxredirects",
    "maxretries",
    "minretrybackoff",
    "maxretrybackoff",
    "dialtimeout",
    "readtimeout",
    "writetimeout",
    "pool",
    "poolsize",
    "pooltimeout",
    "minidleconns",
    "maxidleconns",
    "maxactiveconns",
    "connmaxidletime",
    "connmaxlifetime",
    "tls",
];

/// Sections whose word in a variable is not the word in the file: Distribution goes by the names of
/// its own fields there.
pub(crate) const WORDS_OF_VARIABLES: [(&str, &str, &str); 4] = [
    ("health", "filecheckers", "file"),
    ("health", "httpcheckers", "http"),
    ("health", "tcpcheckers", "tcp"),
    ("notifications", "eventconfig", "events"),
];
