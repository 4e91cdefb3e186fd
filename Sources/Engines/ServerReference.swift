/// A model that a server has, which other people run.
package struct ServerReference: Sendable, Equatable {
    /// How it is spoken to.
    package enum Kind: String, Sendable, CaseIterable { case vllm, sglang }

    package var kind: Kind
    /// Addresses of servers that all have this model, at least one: `http://HOST:PORT`.
    package var urls: [String]
    /// The name under which they have it; nil: the only one they have.
    package var model: String?
    /// File with the key that requests carry, which nobody but its owner may read; nil: they carry none.
    package var keyFile: String?
    /// PEM file of the authorities that are trusted; nil: the system's.
    package var authorityFile: String?
    /// The same model's files, for a comparison when it starts; nil: they are not here.
    package var files: String?
    /// Time that one request may take.
    package var timeout = Duration.seconds(300)
    /// Most requests that one server is given at once, at least 1.
    package var mostRequests = 64
    /// Requests that a server is given at once in the beginning, before its latency is known.
    package var firstRequests = 8
    /// Most tokens that one server is given at once; a longer sequence goes alone.
    package var mostTokens = 65_536
    /// How long a server may take to answer for the first time.
    package var patience = Duration.seconds(60)
    /// Whether it is brought the weights that are trained; otherwise it keeps its own.
    package var takesWeights = false
    /// Most probable tokens that it is asked for at every position beside the given one.
    package var topTokens = 0
    /// Where the user can mend what does not fit: a configuration's section.
    package var key: String

    package init(kind: Kind, urls: [String], model: String?, key: String) {
        self.kind = kind
        self.urls = urls
        self.model = model
        self.key = key
    }
}
