import Distillation

extension Status {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.string(runID, "status: run id", limits)
        try Check.string(doing, "status: doing", limits)
        try Check.string(waitingFor ?? "", "status: waiting_for", limits)
        try Check.string(copies, "status: copies", limits)
        try Check.quantity(uptimeSeconds, "status: uptime_seconds")
        try Check.quantity(waitingSeconds, "status: waiting_seconds")
        try Check.items(members.count, "members", limits)
        try Check.items(queues.count, "queues", limits)
        for queue in queues { try Check.string(queue.teacher, "status: teacher", limits) }
        for member in members {
            try Check.string(member.name, "status: name", limits)
            try Check.string(member.state, "status: state", limits)
            try Check.items(member.teachers.count, "teachers", limits)
            for teacher in member.teachers { try Check.string(teacher, "status: teacher", limits) }
            try Check.quantity(member.tokensPerSecond, "status: tokens_per_second")
            try Check.quantity(member.silenceSeconds, "status: silence_seconds")
        }
    }

    init(_ value: PBStatus, _ limits: WireLimits) throws(WireError) {
        self.init(runID: value.runID, epoch: value.epoch, version: value.version, steps: value.steps)
        uptimeSeconds = value.uptimeSeconds
        doing = value.doing
        waitingFor = value.waitingFor.ifAny
        waitingSeconds = value.waitingSeconds
        batch = Batch(value.batch)
        evaluation = Batch(value.evaluation)
        pendingGroups = Int(value.pendingGroups)
        queues = value.queues.map { Queue(teacher: $0.teacher, waiting: Int($0.waiting)) }
        leases = Int(value.leases)
        generated = value.generated
        trained = value.trained
        discarded = value.discarded
        inFlight = value.inFlight
        for member in value.members { members.append(try Member(member)) }
        copies = value.copies
        try check(limits)
    }
}

extension PBStatus {
    init(_ value: Status, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        runID = value.runID
        epoch = value.epoch
        version = value.version
        steps = value.steps
        uptimeSeconds = value.uptimeSeconds
        doing = value.doing
        waitingFor = value.waitingFor ?? ""
        waitingSeconds = value.waitingSeconds
        batch = try PBBatchStatus(value.batch)
        if value.evaluation.total > 0 { evaluation = try PBBatchStatus(value.evaluation) }
        pendingGroups = try Check.uint32(value.pendingGroups, "status: pending_groups")
        // At once: adding to a field one by one copies the field each time.
        queues = try value.queues.map { queue throws(WireError) in
            var status = PBQueueStatus()
            status.teacher = queue.teacher
            status.waiting = try Check.uint32(queue.waiting, "status: waiting")
            return status
        }
        leases = try Check.uint32(value.leases, "status: leases")
        generated = value.generated
        trained = value.trained
        discarded = value.discarded
        inFlight = value.inFlight
        copies = value.copies
        members = try value.members.map { member throws(WireError) in try PBMemberStatus(member) }
    }
}

extension Status.Batch {
    init(_ value: PBBatchStatus) {
        self.init(total: Int(value.total), missing: Int(value.missing), ready: Int(value.ready))
    }
}

extension PBBatchStatus {
    init(_ value: Status.Batch) throws(WireError) {
        self.init()
        total = try Check.uint32(value.total, "status: total")
        missing = try Check.uint32(value.missing, "status: missing")
        ready = try Check.uint32(value.ready, "status: ready")
    }
}

extension Status.Member {
    init(_ value: PBMemberStatus) throws(WireError) {
        let role: Role =
            switch value.role {
            case .rollout: .rollout
            case .scorer: .scorer
            case .unspecified, .UNRECOGNIZED: throw WireError(.unknownKind, "status: unknown role")
            }
        self.init(
            name: value.name, role: role, teachers: value.teachers, leases: Int(value.leases), tasks: Int(value.tasks),
            window: Int(value.window), state: value.state, tokensPerSecond: value.tokensPerSecond,
            version: value.version, silenceSeconds: value.silenceSeconds)
    }
}

extension PBMemberStatus {
    init(_ value: Status.Member) throws(WireError) {
        self.init()
        name = value.name
        role = value.role == .rollout ? .rollout : .scorer
        teachers = value.teachers
        leases = try Check.uint32(value.leases, "status: leases")
        tasks = try Check.uint32(value.tasks, "status: tasks")
        window = try Check.uint32(value.window, "status: window")
        state = value.state
        tokensPerSecond = value.tokensPerSecond
        version = value.version
        silenceSeconds = value.silenceSeconds
    }
}
