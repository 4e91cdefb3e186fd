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
        try Check.string(hostID, "hello: host id", limits)
        try Check.string(arithmetic, "hello: arithmetic", limits)
        try Check.string(tokenizerFingerprint, "hello: tokenizer fingerprint", limits)
        try Check.positive(slots, "hello: slots")
        try Check.items(teachers.count, "teachers", limits)
        for teacher in teachers { try Check.string(teacher, "hello: teacher", limits) }
    }

    init(_ value: PBHello, _ limits: WireLimits) throws(WireError) {
        self.init(
            role: try Role(value.role), name: value.name, incarnation: value.incarnation, hostID: value.hostID,
            protocolVersion: value.protocolVersion, arithmetic: value.arithmetic,
            tokenizerFingerprint: value.tokenizerFingerprint, slots: Int(value.slots), teachers: value.teachers,
            processID: value.processID)
        try check(limits)
    }
}

extension PBHello {
    init(_ value: Hello, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        role = PBRole(value.role)
        name = value.name
        incarnation = value.incarnation
        hostID = value.hostID
        protocolVersion = value.protocolVersion
        arithmetic = value.arithmetic
        tokenizerFingerprint = value.tokenizerFingerprint
        slots = try Check.uint32(value.slots, "hello: slots")
        teachers = value.teachers
        processID = value.processID
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
        case .modelMismatch: self = .modelMismatch
        case .unknownTeacher: self = .unknownTeacher
        case .invalidRequest: self = .invalidRequest
        case .nameInUse: self = .nameInUse
        case .notAllowed: self = .notAllowed
        }
    }
}

extension Reject {
    init(_ value: PBReject, _ limits: WireLimits) throws(WireError) {
        let code: RejectCode =
            switch value.code {
            case .unknownPeer: .unknownPeer
            case .protocolVersion: .protocolVersion
            case .tokenizerMismatch: .tokenizerMismatch
            case .modelMismatch: .modelMismatch
            case .unknownTeacher: .unknownTeacher
            case .nameInUse: .nameInUse
            case .notAllowed: .notAllowed
            // A code of a later version still carries its line for a person.
            case .invalidRequest, .unspecified, .UNRECOGNIZED: .invalidRequest
            }
        self.init(code: code, message: value.message)
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

extension Heartbeat {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.string(state, "heartbeat: state", limits)
        try Check.items(leaseIDs.count, "leases", limits)
        try Check.quantity(tokensPerSecond, "heartbeat: tokens_per_second")
    }

    init(_ value: PBHeartbeat, _ limits: WireLimits) throws(WireError) {
        self.init(
            state: value.state, leaseIDs: value.leaseIds, tokens: value.tokens,
            tokensPerSecond: value.tokensPerSecond, version: value.version, epoch: value.epoch)
        try check(limits)
    }
}

extension PBHeartbeat {
    init(_ value: Heartbeat, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        state = value.state
        leaseIds = value.leaseIDs
        tokens = value.tokens
        tokensPerSecond = value.tokensPerSecond
        version = value.version
        epoch = value.epoch
    }
}

extension HeartbeatReply {
    init(_ value: PBHeartbeatReply) { self.init(epoch: value.epoch, version: value.version) }
}

extension PBHeartbeatReply {
    init(_ value: HeartbeatReply) {
        self.init()
        epoch = value.epoch
        version = value.version
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
