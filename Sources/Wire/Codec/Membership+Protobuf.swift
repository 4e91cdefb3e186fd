import Distillation

extension PBRole {
    init(_ role: Role) {
        switch role {
        case .rollout: self = .rollout
        case .scorer: self = .scorer
        }
    }
}

extension Role {
    init(_ role: PBRole) throws(WireError) {
        switch role {
        case .rollout: self = .rollout
        case .scorer: self = .scorer
        case .unspecified, .UNRECOGNIZED: throw WireError(.unknownKind, "unknown role \(role.rawValue)")
        }
    }
}

extension Hello {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.require(!name.isEmpty, .invalidValue, "hello: the name is empty")
        try Check.string(name, "hello: name", limits)
        try Check.string(arithmetic ?? "", "hello: arithmetic", limits)
        try Check.string(tokenizerFingerprint ?? "", "hello: tokenizer fingerprint", limits)
        try Check.string(environment ?? "", "hello: environment", limits)
        try Check.items(teachers.count, "teachers", limits)
        for teacher in teachers { try Check.string(teacher, "hello: teacher", limits) }
        try teacher?.check()
        try Check.items(addedTokens.count, "added tokens", limits)
        for token in addedTokens { try Check.string(token, "hello: added token", limits) }
        let byteCount = addedTokens.reduce(0) { $0 + $1.utf8.count }
        try Check.require(
            byteCount <= Self.longestAddedTokens, .oversized,
            "hello: added tokens of \(byteCount) bytes are above \(Self.longestAddedTokens)")
    }

    /// A hello of this version, which frame 0 told: the field is for people.
    init(_ value: PBHello, _ limits: WireLimits) throws(WireError) {
        self.init(
            role: try Role(value.role), name: value.name, protocolVersion: Codec.version,
            arithmetic: value.arithmetic.ifAny, tokenizerFingerprint: value.tokenizerFingerprint.ifAny,
            teachers: value.teachers, processID: value.processID,
            teacher: value.hasTeacher ? TeacherDescription(value.teacher) : nil,
            isReproducible: value.reproducible, samplingRevision: value.samplingRevision,
            addedTokens: value.addedTokens, mostTopTokens: value.maxTopK, weightRevision: value.weightRevision)
        followsWeights = value.followsWeights
        environment = value.environment.ifAny
        try check(limits)
    }

    /// What every version's hello has: enough to refuse it by name.
    init(_ value: PBHello, ofVersion version: UInt32, _ limits: WireLimits) throws(WireError) {
        self.init(
            role: try Role(value.role), name: value.name, protocolVersion: version, tokenizerFingerprint: nil,
            processID: 0)
        try check(limits)
    }
}

extension PBHello {
    init(_ value: Hello, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        role = PBRole(value.role)
        name = value.name
        protocolVersion = value.protocolVersion
        arithmetic = value.arithmetic ?? ""
        tokenizerFingerprint = value.tokenizerFingerprint ?? ""
        teachers = value.teachers
        processID = value.processID
        if let description = value.teacher { teacher = PBTeacherDescription(description) }
        reproducible = value.isReproducible
        samplingRevision = value.samplingRevision
        addedTokens = value.addedTokens
        maxTopK = value.mostTopTokens
        weightRevision = value.weightRevision
        followsWeights = value.followsWeights
        environment = value.environment ?? ""
    }
}

extension TeacherDescription {
    fileprivate func check() throws(WireError) {
        for (value, what) in [(contextLength, "context_length"), (vocabularySize, "vocabulary_size")] {
            try Check.require(
                (0...Self.mostTokens).contains(value), .invalidValue,
                "hello: \(what) is \(value), outside 0 ... \(Self.mostTokens)")
        }
        let identityBytes = templateIdentity?.utf8.count ?? 0, headBytes = headFingerprint?.utf8.count ?? 0
        try Check.require(
            identityBytes <= Self.longestIdentity, .oversized,
            "hello: template_identity has \(identityBytes) bytes, above \(Self.longestIdentity)")
        try Check.require(
            (0...HiddenStates.largestSize).contains(hiddenSize), .invalidValue,
            "hello: hidden_size is \(hiddenSize), outside 0 ... \(HiddenStates.largestSize)")
        try Check.require(
            headBytes <= Self.longestIdentity, .oversized,
            "hello: head_fingerprint has \(headBytes) bytes, above \(Self.longestIdentity)")
        guard let forwardCost else { return }
        for (value, what) in [
            (forwardCost.perToken, "operations_per_token"), (forwardCost.perPair, "operations_per_token_pair"),
            (forwardCost.perResponseToken, "operations_per_response_token"),
        ] {
            try Check.quantity(value, "hello: \(what)")
            try Check.require(
                value <= Self.mostOperations, .invalidValue, "hello: \(what) is \(value), above \(Self.mostOperations)")
        }
    }

    /// The description as it was sent, not checked.
    fileprivate init(_ value: PBTeacherDescription) {
        self.init(
            contextLength: Int(value.contextLength), vocabularySize: Int(value.vocabularySize),
            templateIdentity: value.templateIdentity.ifAny, forwardCost: PassCost(value))
        hiddenSize = Int(value.hiddenSize)
        headFingerprint = value.headFingerprint.ifAny
    }
}

extension PBTeacherDescription {
    /// - Parameter value: was checked.
    fileprivate init(_ value: TeacherDescription) {
        self.init()
        contextLength = UInt32(value.contextLength)
        vocabularySize = UInt32(value.vocabularySize)
        templateIdentity = value.templateIdentity ?? ""
        operationsPerToken = value.forwardCost?.perToken ?? 0
        operationsPerTokenPair = value.forwardCost?.perPair ?? 0
        operationsPerResponseToken = value.forwardCost?.perResponseToken ?? 0
        hiddenSize = UInt32(value.hiddenSize)
        headFingerprint = value.headFingerprint ?? ""
    }
}

extension PassCost {
    /// What a description tells, not checked; nil where it tells nothing.
    fileprivate init?(_ value: PBTeacherDescription) {
        let cost = PassCost(
            perToken: value.operationsPerToken, perResponseToken: value.operationsPerResponseToken,
            perPair: value.operationsPerTokenPair)
        // A pass without operations is one that nobody counts.
        guard cost != PassCost(perToken: 0, perResponseToken: 0, perPair: 0) else { return nil }
        self = cost
    }
}

extension Welcome {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.string(runID, "welcome: run id", limits)
        try Check.quantity(heartbeatSeconds, "welcome: heartbeat_seconds")
        try Check.quantity(leaseSeconds, "welcome: lease_seconds")
    }

    init(_ value: PBWelcome, _ limits: WireLimits) throws(WireError) {
        self.init(
            runID: value.runID, epoch: value.epoch, heartbeatSeconds: value.heartbeatSeconds,
            leaseSeconds: value.leaseSeconds, version: value.version)
        try check(limits)
    }
}

extension PBWelcome {
    init(_ value: Welcome, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        runID = value.runID
        epoch = value.epoch
        heartbeatSeconds = value.heartbeatSeconds
        leaseSeconds = value.leaseSeconds
        version = value.version
    }
}

extension PBRejectCode {
    init(_ code: RejectCode) {
        switch code {
        case .unknownPeer: self = .unknownPeer
        case .protocolVersion: self = .protocolVersion
        case .tokenizerMismatch: self = .tokenizerMismatch
        case .unknownTeacher: self = .unknownTeacher
        case .invalidRequest: self = .invalidRequest
        case .nameInUse: self = .nameInUse
        case .notAllowed: self = .notAllowed
        case .unsuitableTeacher: self = .unsuitableTeacher
        }
    }
}

extension Reject {
    /// - Parameter version: that of the protocol, which frame 0 told.
    init(_ value: PBReject, ofVersion version: UInt32, _ limits: WireLimits) throws(WireError) {
        let code: RejectCode =
            switch value.code {
            case .unknownPeer: .unknownPeer
            case .protocolVersion: .protocolVersion
            case .tokenizerMismatch: .tokenizerMismatch
            case .unknownTeacher: .unknownTeacher
            case .nameInUse: .nameInUse
            case .notAllowed: .notAllowed
            case .unsuitableTeacher: .unsuitableTeacher
            // A code of a later version still carries its line for a person.
            case .invalidRequest, .unspecified, .UNRECOGNIZED: .invalidRequest
            }
        self.init(code: code, message: value.message, protocolVersion: version)
        try Check.string(message, "reject: message", limits)
    }
}

extension PBReject {
    init(_ value: Reject, _ limits: WireLimits) throws(WireError) {
        try Check.string(value.message, "reject: message", limits)
        self.init()
        code = PBRejectCode(value.code)
        message = value.message
    }
}

extension Goodbye {
    init(_ value: PBGoodbye, _ limits: WireLimits) throws(WireError) {
        try Check.string(value.reason, "goodbye: reason", limits)
        self.init(reason: value.reason)
    }
}

extension PBGoodbye {
    init(_ value: Goodbye, _ limits: WireLimits) throws(WireError) {
        try Check.string(value.reason, "goodbye: reason", limits)
        self.init()
        reason = value.reason
    }
}

extension Shutdown {
    init(_ value: PBShutdown, _ limits: WireLimits) throws(WireError) {
        try Check.string(value.reason, "shutdown: reason", limits)
        self.init(reason: value.reason)
    }
}

extension PBShutdown {
    init(_ value: Shutdown, _ limits: WireLimits) throws(WireError) {
        try Check.string(value.reason, "shutdown: reason", limits)
        self.init()
        reason = value.reason
    }
}
