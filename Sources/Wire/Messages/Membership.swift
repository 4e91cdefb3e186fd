import Distillation

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
    /// The version that the member speaks: that of its messages' frame 0.
    package var protocolVersion: UInt32
    /// Equal on processes whose arithmetic has the same bits; nil: not known.
    package var arithmetic: String?
    /// Equal for tokenizers that map texts to the same ids; nil: not known.
    package var tokenizerFingerprint: String?
    /// Teachers that a scorer serves, or a rollout worker samples with: keys of the configuration's `teachers`.
    package var teachers: [String]
    package var processID: UInt64
    /// The teacher that it holds; nil where it holds none, or cannot say.
    package var teacher: TeacherDescription?
    /// Whether its results are functions of what it is given, to the last bit; false: they are not, or it is not known.
    package var isReproducible: Bool
    /// What of the sampling settings a rollout worker heeds, as `SamplingSettings.revision` counts it.
    package var samplingRevision: UInt32
    /// What its teacher's tokenizer adds to its vocabulary, one text a token, at most `longestAddedTokens` bytes together;
    /// none: not told.
    package var addedTokens: [String]
    /// The most tokens of whose probability a scorer can tell at every position beside the response's; 0: none.
    package var mostTopTokens: UInt32
    /// What a rollout worker can fetch, as ``WeightsAnnounce/newestRevision`` counts it; 0: whole snapshots alone.
    package var weightRevision: UInt32
    /// Whether a scorer fetches weights that the learner announces, and grades with the version that a task names.
    package var followsWeights = false
    /// Identity of the environment in which a rollout worker plays episodes; nil: it samples responses of one turn.
    package var environment: String?

    package static let longestAddedTokens = 1 << 19

    package init(
        role: Role, name: String, protocolVersion: UInt32 = Codec.version, arithmetic: String? = nil,
        tokenizerFingerprint: String?, teachers: [String] = [], processID: UInt64, teacher: TeacherDescription? = nil,
        isReproducible: Bool = true, samplingRevision: UInt32 = 0, addedTokens: [String] = [],
        mostTopTokens: UInt32 = 0, weightRevision: UInt32 = 0
    ) {
        self.role = role
        self.name = name
        self.protocolVersion = protocolVersion
        self.arithmetic = arithmetic
        self.tokenizerFingerprint = tokenizerFingerprint
        self.teachers = teachers
        self.processID = processID
        self.teacher = teacher
        self.isReproducible = isReproducible
        self.samplingRevision = samplingRevision
        self.addedTokens = addedTokens
        self.mostTopTokens = mostTopTokens
        self.weightRevision = weightRevision
    }
}

/// What a learner that cannot read a teacher's files wants to know of it.
package struct TeacherDescription: Sendable, Equatable {
    /// The longest sequence that it reads, in tokens, up to `mostTokens`; 0: not known.
    package var contextLength: Int
    /// Ids for which it has a logit, up to `mostTokens`; 0: not known.
    package var vocabularySize: Int
    /// Equal for equal chat templates, 1 to `longestIdentity` bytes; nil: not known.
    package var templateIdentity: String?
    /// Floating-point operations of a forward pass, each number up to `mostOperations`; nil: not known.
    package var forwardCost: PassCost?
    /// Numbers of its last hidden states, where a scorer can send them, up to ``HiddenStates/largestSize``; 0: it cannot.
    package var hiddenSize = 0
    /// Equal for equal heads, 1 to `longestIdentity` bytes; nil: not known.
    package var headFingerprint: String?

    package static let mostTokens = Int(Int32.max)
    package static let longestIdentity = 128
    /// The most operations that a description may claim, each for itself.
    package static let mostOperations = 1e18

    package init(
        contextLength: Int = 0, vocabularySize: Int = 0, templateIdentity: String? = nil, forwardCost: PassCost? = nil
    ) {
        self.contextLength = contextLength
        self.vocabularySize = vocabularySize
        self.templateIdentity = templateIdentity
        self.forwardCost = forwardCost
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
    case unknownTeacher
    case invalidRequest
    /// Another live process has this name.
    case nameInUse
    /// The key of the connection does not permit this.
    case notAllowed
    /// The teacher cannot do what the run asks of it.
    case unsuitableTeacher
}

/// The learner refuses a hello or another request.
package struct Reject: Sendable, Equatable {
    package var code: RejectCode
    /// One line for a person: what is wrong and what to do.
    package var message: String
    /// The version in which it is sent: that of the member, which would not read another.
    package var protocolVersion: UInt32

    package init(code: RejectCode, message: String, protocolVersion: UInt32 = Codec.version) {
        self.code = code
        self.message = message
        self.protocolVersion = protocolVersion
    }
}

/// What a member tells of itself while it works.
package struct MemberStatus: Sendable, Equatable {
    /// What the process does now, for a person.
    package var state: String
    /// Tokens sampled or scored since the process started.
    package var tokens: UInt64
    package var tokensPerSecond: Double
    /// Weight version in use; `noVersion` for a member that has none yet, 0 for scorers that follow none.
    package var version: UInt64

    /// `version` of a rollout worker that has no weights yet.
    package static var noVersion: UInt64 { .max }

    package init(state: String, tokens: UInt64 = 0, tokensPerSecond: Double = 0, version: UInt64 = 0) {
        self.state = state
        self.tokens = tokens
        self.tokensPerSecond = tokensPerSecond
        self.version = version
    }
}

/// A member lives, and renews its leases.
package struct Heartbeat: Sendable, Equatable {
    package var status: MemberStatus
    /// Leases that it still works on.
    package var leaseIDs: [UInt64]
    /// Epoch of the learner it believes to talk to.
    package var epoch: UInt64
    /// The member's clock when it was sent, in microseconds since a moment of its own; 0: not told.
    package var sentAt: UInt64 = 0
    /// Nil while the member has not seen a round trip.
    package var alignment: ClockAlignment?
    /// What the member did since the last that were sent, by its own clock, at most `StageSpan.most`.
    package var spans: [StageSpan] = []

    package init(status: MemberStatus, leaseIDs: [UInt64] = [], epoch: UInt64) {
        self.status = status
        self.leaseIDs = leaseIDs
        self.epoch = epoch
    }
}

/// The learner lives.
package struct HeartbeatReply: Sendable, Equatable {
    package var epoch: UInt64
    /// Newest weight version.
    package var version: UInt64
    /// When the heartbeat was sent, by the member's clock, and the learner's clock when it was answered, in
    /// microseconds; 0: not told.
    package var sentAt: UInt64 = 0
    package var clock: UInt64 = 0

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
