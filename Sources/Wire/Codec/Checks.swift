import Distillation

/// Range checks that encoder and decoder share. What they name is put into words when it is wrong only.
enum Check {
    static func string(_ value: String, _ what: @autoclosure () -> String, _ limits: WireLimits) throws(WireError) {
        guard value.utf8.count <= limits.stringBytes else {
            throw WireError(
                .oversized, "\(what()) of \(value.utf8.count) bytes is above the limit of \(limits.stringBytes)")
        }
    }

    static func items(_ count: Int, _ what: @autoclosure () -> String, _ limits: WireLimits) throws(WireError) {
        guard count <= limits.items else {
            throw WireError(.oversized, "\(count) \(what()) are above the limit of \(limits.items)")
        }
    }

    static func sequence(_ count: Int, _ what: @autoclosure () -> String, _ limits: WireLimits) throws(WireError) {
        guard count <= limits.sequenceTokens else {
            throw WireError(
                .oversized, "\(what()) of \(count) tokens is above the limit of \(limits.sequenceTokens)")
        }
    }

    /// `value` as the header's 32-bit number.
    static func uint32(_ value: Int, _ what: @autoclosure () -> String) throws(WireError) -> UInt32 {
        guard let result = UInt32(exactly: value) else {
            throw WireError(.invalidValue, "\(what()) is \(value), outside 0 ... \(UInt32.max)")
        }
        return result
    }

    static func positive(_ value: Int, _ what: @autoclosure () -> String) throws(WireError) {
        guard value >= 1 else { throw WireError(.invalidValue, "\(what()) is \(value), but at least 1 is needed") }
    }

    /// Finite, and not negative.
    static func quantity(_ value: Double, _ what: @autoclosure () -> String) throws(WireError) {
        guard value.isFinite, value >= 0 else { throw WireError(.invalidValue, "\(what()) is \(value)") }
    }

    /// What an environment may give for an episode.
    static func reward(_ value: Double, _ what: @autoclosure () -> String) throws(WireError) -> Double {
        try require((0...1).contains(value), .invalidValue, "\(what()): the reward is \(value), outside 0 ... 1")
        return value
    }

    static func require(
        _ condition: Bool, _ code: WireError.Code, _ reason: @autoclosure () -> String
    ) throws(WireError) {
        guard condition else { throw WireError(code, reason()) }
    }
}

extension String {
    /// What a field of a header says; nil where it is empty, which is how protobuf leaves it out.
    var ifAny: String? { isEmpty ? nil : self }
}

extension PBRolloutId {
    init(_ id: RolloutID) {
        self.init()
        group = id.group
        sample = id.sample
    }
}

extension RolloutID {
    init(_ id: PBRolloutId) { self.init(group: id.group, sample: id.sample) }
}

extension PBRolloutKind {
    init(_ kind: RolloutKind) {
        switch kind {
        case .train: self = .train
        case .evaluation: self = .evaluation
        }
    }
}

extension RolloutKind {
    init(_ kind: PBRolloutKind) throws(WireError) {
        switch kind {
        case .train: self = .train
        case .evaluation: self = .evaluation
        case .unspecified, .UNRECOGNIZED: throw WireError(.unknownKind, "unknown rollout kind \(kind.rawValue)")
        }
    }
}
