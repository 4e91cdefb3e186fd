/// What a member of a run does.
package enum Role: String, Sendable, Codable, CaseIterable {
    case rollout
    case scorer
}

/// A member introduces itself.
package struct Hello: Sendable, Equatable {
    package var role: Role
    /// Unique among the live members of a run, for example `rollout-1`.
    package var name: String
    /// Random, drawn when the process started: a restarted process is a new incarnation.
    package var incarnation: UInt64
    /// Equal on processes that can share memory: boot id and host name.
    package var hostID: String
    package var protocolVersion: UInt32
    /// Equal on processes whose arithmetic has the same bits; empty: not known.
    package var arithmetic: String
    package var tokenizerFingerprint: String
    /// Sequences it works on at once, at least 1.
    package var slots: Int
    /// Teachers a scorer serves, keys of the configuration's `teachers`; empty for a rollout worker.
    package var teachers: [String]
    package var processID: UInt64

    package init(
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
package struct Welcome: Sendable, Equatable {
    package var runID: String
    /// Random, drawn when the learner's process started: leases and results of another epoch are void.
    package var epoch: UInt64
    package var heartbeatSeconds: Double
    package var leaseSeconds: Double
    /// Newest weight version.
    package var version: UInt64

    package init(runID: String, epoch: UInt64, heartbeatSeconds: Double, leaseSeconds: Double, version: UInt64) {
        self.runID = runID
        self.epoch = epoch
        self.heartbeatSeconds = heartbeatSeconds
        self.leaseSeconds = leaseSeconds
        self.version = version
    }
}

/// Why the learner refused.
package enum RejectCode: String, Sendable, CaseIterable {
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
package struct Reject: Sendable, Equatable {
    package var code: RejectCode
    /// One line for a person: what is wrong and what to do.
    package var message: String

    package init(code: RejectCode, message: String) {
        self.code = code
        self.message = message
    }
}

/// A member lives, and renews its leases.
package struct Heartbeat: Sendable, Equatable {
    /// What the process does now, for a person.
    package var state: String
    /// Leases it holds.
    package var leaseIDs: [UInt64]
    /// Tokens sampled or scored since the process started.
    package var tokens: UInt64
    package var tokensPerSecond: Double
    /// Weight version in use; `UInt64.max` for a rollout worker that has none yet, 0 for scorers.
    package var version: UInt64
    /// Epoch of the learner it believes to talk to.
    package var epoch: UInt64

    package init(
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
package struct HeartbeatReply: Sendable, Equatable {
    package var epoch: UInt64
    /// Newest weight version.
    package var version: UInt64

    package init(epoch: UInt64, version: UInt64) {
        self.epoch = epoch
        self.version = version
    }
}

/// A member leaves.
package struct Goodbye: Sendable, Equatable {
    package var reason: String

    package init(reason: String) { self.reason = reason }
}

/// The run is over.
package struct Shutdown: Sendable, Equatable {
    package var reason: String

    package init(reason: String) { self.reason = reason }
}

extension Heartbeat {
    /// `version` of a rollout worker that has no weights yet.
    package static var noVersion: UInt64 { .max }
}
