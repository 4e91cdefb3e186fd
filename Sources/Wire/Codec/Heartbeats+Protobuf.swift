import Distillation

extension Heartbeat {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.string(status.state, "heartbeat: state", limits)
        try Check.items(leaseIDs.count, "leases", limits)
        try Check.quantity(status.tokensPerSecond, "heartbeat: tokens_per_second")
        try Check.require(
            spans.count <= StageSpan.most, .oversized,
            "heartbeat: \(spans.count) spans are above the limit of \(StageSpan.most)")
        let latest = StageSpan.latest
        try Check.require(
            spans.allSatisfy { $0.start <= latest && $0.duration <= latest && $0.stage.isMembers }, .invalidValue,
            "heartbeat: a span has a stage that is no member's, or a time above \(latest)")
        guard let alignment else { return }
        try Check.require(
            alignment.offset.magnitude <= latest && (1...latest).contains(alignment.roundTrip), .invalidValue,
            "heartbeat: clock_offset_us \(alignment.offset) or round_trip_us \(alignment.roundTrip) is above \(latest)")
    }

    init(_ value: PBHeartbeat, _ limits: WireLimits) throws(WireError) {
        self.init(
            status: MemberStatus(
                state: value.state, tokens: value.tokens, tokensPerSecond: value.tokensPerSecond,
                version: value.version),
            leaseIDs: value.leaseIds, epoch: value.epoch)
        sentAt = value.sentUs
        if value.roundTripUs > 0 {
            alignment = ClockAlignment(offset: value.clockOffsetUs, roundTrip: value.roundTripUs)
        }
        let count = value.spanStages.count
        try Check.require(
            count <= StageSpan.most && value.spanStartsUs.count == count && value.spanDurationsUs.count == count,
            .invalidValue,
            "heartbeat: \(count) span_stages, \(value.spanStartsUs.count) span_starts_us and "
                + "\(value.spanDurationsUs.count) span_durations_us, which should be as many, up to \(StageSpan.most)")
        for index in 0..<count {
            // A stage of a later version is left out: what it is has no name here.
            guard let stage = UInt8(exactly: value.spanStages[index]).flatMap(Stage.init(rawValue:)) else { continue }
            spans.append(
                StageSpan(stage, start: value.spanStartsUs[index], duration: value.spanDurationsUs[index]))
        }
        try check(limits)
    }
}

extension PBHeartbeat {
    init(_ value: Heartbeat, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        state = value.status.state
        leaseIds = value.leaseIDs
        tokens = value.status.tokens
        tokensPerSecond = value.status.tokensPerSecond
        version = value.status.version
        epoch = value.epoch
        sentUs = value.sentAt
        clockOffsetUs = value.alignment?.offset ?? 0
        roundTripUs = value.alignment?.roundTrip ?? 0
        spanStages = value.spans.map { UInt32($0.stage.rawValue) }
        spanStartsUs = value.spans.map(\.start)
        spanDurationsUs = value.spans.map(\.duration)
    }
}

extension HeartbeatReply {
    init(_ value: PBHeartbeatReply) {
        self.init(epoch: value.epoch, version: value.version)
        (sentAt, clock) = (value.sentUs, value.clockUs)
    }
}

extension PBHeartbeatReply {
    init(_ value: HeartbeatReply) {
        self.init()
        epoch = value.epoch
        version = value.version
        sentUs = value.sentAt
        clockUs = value.clock
    }
}
