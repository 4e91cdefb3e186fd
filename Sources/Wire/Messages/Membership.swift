/// What a member of a run does.
public enum Role: String, Sendable, Codable, CaseIterable {
    case rollout
    case scorer
}

/// A member introduces itself.
public struct Hello: Sendable, Equatable {
    public var role: Role
    /// Unique among the live members of a run, for example `rollout-1`.
    public var name: String
    /// Random, drawn when the process started: a restarted process is a new incarnation.
    public var incarnation: UInt64
    /// Equal on processes that can share memory: boot id and host name.
    public var hostID: String
    public var protocolVersion: UInt32
    /// Equal on processes whose arithmetic has the same bits; empty: not known.
    public var arithmetic: String
    public var tokenizerFingerprint: String
    /// Sequences it works on at once, at least 1.
    public var slots: Int
    /// Teachers a scorer serves, keys of the configuration's `teachers`; empty for a rollout worker.
    public var teachers: [String]
    public var processID: UInt64

    public init(
        role: Role, name: String, incarnation: UInt64, hostID: String, protocolVersion: UInt32 = Codec.version,
        arithmetic: String = "", tokenizerFingerprint: String, slots: Int, teachers: [String] = [], processID: UInt64
    ) {
        self.role = role
        self.name = name
        self.incarnation = incarnation
        self.hostID = hostID
        self.protocolVersion = protocolVersion
        self.arithmetic = arithmetic
        self.tokenizerFingerprint = tokenizerFingerprint
        self.slots = slots
        self.teachers = teachers
        self.processID = processID
    }
}

/// The learner accepts a member.
public struct Welcome: Sendable, Equatable {
    public var runID: String
    /// Random, drawn when the learner's process started: leases and results of another epoch are void.
    public var epoch: UInt64
    public var heartbeatSeconds: Double
    public var leaseSeconds: Double
    /// Newest weight version.
    public var version: UInt64

    public init(runID: String, epoch: UInt64, heartbeatSeconds: Double, leaseSeconds: Double, version: UInt64) {
        self.runID = runID
        self.epoch = epoch
        self.heartbeatSeconds = heartbeatSeconds
        self.leaseSeconds = leaseSeconds
        self.version = version
    }
}

/// Why the learner refused.
public enum RejectCode: String, Sendable, CaseIterable {
    /// The learner does not know the peer (it restarted): say hello again.
    case unknownPeer
    case protocolVersion
    case tokenizerMismatch
    case modelMismatch
    case unknownTeacher
    case invalidRequest
    /// Another live process has this name.
    case nameInUse
    /// The key of the connection does not permit this.
    case notAllowed
}

/// The learner refuses a hello or another request.
public struct Reject: Sendable, Equatable {
    public var code: RejectCode
    /// One line for a person: what is wrong and what to do.
    public var message: String

    public init(code: RejectCode, message: String) {
        self.code = code
        self.message = message
    }
}

/// A member lives, and renews its leases.
public struct Heartbeat: Sendable, Equatable {
    /// What the process does now, for a person.
    public var state: String
    /// Leases it holds.
    public var leaseIDs: [UInt64]
    /// Tokens sampled or scored since the process started.
    public var tokens: UInt64
    public var tokensPerSecond: Double
    /// Weight version in use; `UInt64.max` for a rollout worker that has none yet, 0 for scorers.
    public var version: UInt64
    /// Epoch of the learner it believes to talk to.
    public var epoch: UInt64

    public init(
        state: String, leaseIDs: [UInt64] = [], tokens: UInt64 = 0, tokensPerSecond: Double = 0, version: UInt64 = 0,
        epoch: UInt64
    ) {
        self.state = state
        self.leaseIDs = leaseIDs
        self.tokens = tokens
        self.tokensPerSecond = tokensPerSecond
        self.version = version
        self.epoch = epoch
    }
}

/// The learner lives.
public struct HeartbeatReply: Sendable, Equatable {
    public var epoch: UInt64
    /// Newest weight version.
    public var version: UInt64

    public init(epoch: UInt64, version: UInt64) {
        self.epoch = epoch
        self.version = version
    }
}

/// A member leaves.
public struct Goodbye: Sendable, Equatable {
    public var reason: String

    public init(reason: String) { self.reason = reason }
}

/// The run is over.
public struct Shutdown: Sendable, Equatable {
    public var reason: String

    public init(reason: String) { self.reason = reason }
}
