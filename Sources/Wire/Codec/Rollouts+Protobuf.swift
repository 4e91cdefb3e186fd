import Distillation

extension LeaseRequest {
    init(_ value: PBLeaseRequest, _ limits: WireLimits) throws(WireError) {
        self.init(count: Int(value.count), epoch: value.epoch)
        try Check.positive(count, "lease_request: count")
        try Check.items(count, "leases", limits)
    }
}

extension PBLeaseRequest {
    init(_ value: LeaseRequest, _ limits: WireLimits) throws(WireError) {
        try Check.positive(value.count, "lease_request: count")
        try Check.items(value.count, "leases", limits)
        self.init()
        count = try Check.uint32(value.count, "lease_request: count")
        epoch = value.epoch
    }
}

extension SamplingSettings {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.positive(maxTokens, "sampling: max_tokens")
        try Check.sequence(maxTokens, "sampling: max_tokens", limits)
        try Check.quantity(Double(temperature), "sampling: temperature")
        try Check.require(topP > 0 && topP <= 1, .invalidValue, "sampling: top_p is \(topP), outside (0, 1]")
        try Check.items(stopTokenIDs.count, "stop tokens", limits)
        try Check.require(
            stopTokenIDs.allSatisfy { $0 >= 0 }, .invalidValue, "sampling: negative stop token id")
    }

    init(_ value: PBSampling, _ limits: WireLimits) throws(WireError) {
        self.init(
            maxTokens: Int(value.maxTokens), temperature: value.temperature, topP: value.topP, topK: Int(value.topK),
            stopTokenIDs: value.stopTokenIds)
        try check(limits)
    }
}

extension PBSampling {
    init(_ value: SamplingSettings, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        maxTokens = try Check.uint32(value.maxTokens, "sampling: max_tokens")
        temperature = value.temperature
        topP = value.topP
        topK = try Check.uint32(value.topK, "sampling: top_k")
        stopTokenIds = value.stopTokenIDs
    }
}

extension RolloutGrant {
    init(_ value: PBRolloutGrant, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        try Check.items(value.samplings.count, "samplings", limits)
        var samplings: [SamplingSettings] = []
        for sampling in value.samplings { samplings.append(try SamplingSettings(sampling, limits)) }
        var tasks: [RolloutTask] = []
        tasks.reserveCapacity(value.tasks.count)
        for task in value.tasks {
            let id = RolloutID(task.id)
            try Check.string(task.teacher, "task \(id): teacher", limits)
            try Check.require(
                Int(task.samplingIndex) < samplings.count, .lengthMismatch,
                "task \(id): sampling_index \(task.samplingIndex), but there are \(samplings.count) samplings")
            try Check.positive(Int(task.promptCount), "task \(id): prompt_count")
            try Check.sequence(Int(task.promptCount), "task \(id): prompt", limits)
            tasks.append(
                RolloutTask(
                    id: id, kind: try RolloutKind(task.kind),
                    promptIDs: try arrays.takeTokenIDs(Int(task.promptCount), "task \(id)"), teacher: task.teacher,
                    sampling: samplings[Int(task.samplingIndex)], seed: task.seed,
                    minimumVersion: task.minimumVersion, leaseID: task.leaseID))
        }
        self.init(tasks: tasks)
    }
}

extension PBRolloutGrant {
    init(_ value: RolloutGrant, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        self.init()
        var indices: [SamplingSettings: UInt32] = [:]
        for task in value.tasks {
            try Check.string(task.teacher, "task \(task.id): teacher", limits)
            try Check.positive(task.promptIDs.count, "task \(task.id): prompt_count")
            try Check.sequence(task.promptIDs.count, "task \(task.id): prompt", limits)
            var header = PBRolloutTask()
            header.id = PBRolloutId(task.id)
            header.kind = PBRolloutKind(task.kind)
            header.teacher = task.teacher
            header.leaseID = task.leaseID
            header.seed = task.seed
            header.minimumVersion = task.minimumVersion
            header.promptCount = try Check.uint32(task.promptIDs.count, "task \(task.id): prompt_count")
            if let index = indices[task.sampling] {
                header.samplingIndex = index
            } else {
                header.samplingIndex = UInt32(samplings.count)
                indices[task.sampling] = header.samplingIndex
                samplings.append(try PBSampling(task.sampling, limits))
            }
            tasks.append(header)
        }
        try arrays.appendTokenIDs(value.tasks.map(\.promptIDs))
    }
}

extension FinishReason {
    fileprivate init(_ reason: PBFinishReason) throws(WireError) {
        switch reason {
        case .stop: self = .stop
        case .length: self = .length
        case .unspecified, .UNRECOGNIZED: throw WireError(.unknownKind, "unknown finish reason \(reason.rawValue)")
        }
    }
}

/// Run-length form of the policy version of every token.
package enum VersionRuns {
    /// Of at most 2^32 - 1 versions.
    static func encode(_ versions: PolicyVersions) -> [PBVersionRun] {
        versions.runs.map { run in
            var header = PBVersionRun()
            header.version = run.version
            header.count = UInt32(run.count)
            return header
        }
    }

    /// Throws unless the runs hold `count` versions together.
    package static func decode(
        _ runs: [(version: UInt64, count: UInt32)], count: Int, _ what: @autoclosure () -> String
    ) throws(WireError) -> PolicyVersions {
        // 32-bit counts of a bounded number of runs cannot overflow 64 bits.
        let total = runs.reduce(UInt64(0)) { $0 + UInt64($1.count) }
        try Check.require(
            total == UInt64(count), .lengthMismatch,
            "\(what()): version_runs cover \(total) tokens, but the response has \(count)")
        var versions = PolicyVersions([])
        for run in runs { versions.append(run.version, count: Int(run.count)) }
        return versions
    }
}

extension Trajectories {
    init(_ value: PBTrajectories, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.trajectories.count, "trajectories", limits)
        var trajectories: [Trajectory] = []
        trajectories.reserveCapacity(value.trajectories.count)
        for header in value.trajectories {
            let id = RolloutID(header.id)
            var what: String { "trajectory \(id)" }
            try Check.string(header.teacher, "\(what): teacher", limits)
            let prompt = Int(header.promptCount)
            let response = Int(header.responseCount)
            try Check.positive(prompt, "\(what): prompt_count")
            try Check.sequence(prompt + response, what, limits)
            try Check.quantity(Double(header.temperature), "\(what): temperature")
            let promptIDs = try arrays.takeTokenIDs(prompt, what)
            let responseIDs = try arrays.takeTokenIDs(response, what)
            trajectories.append(
                Trajectory(
                    id: id, kind: try RolloutKind(header.kind), teacher: header.teacher, promptIDs: promptIDs,
                    responseIDs: responseIDs, behaviourLogprobs: try arrays.takeLogprobs(response, what),
                    policyVersions: try VersionRuns.decode(
                        header.versionRuns.map { ($0.version, $0.count) }, count: response, what),
                    finishReason: try FinishReason(header.finishReason), temperature: header.temperature))
        }
        self.init(trajectories: trajectories, epoch: value.epoch)
    }
}

extension PBTrajectories {
    init(_ value: Trajectories, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.trajectories.count, "trajectories", limits)
        self.init()
        epoch = value.epoch
        var ids: [[Int32]] = []
        for trajectory in value.trajectories {
            var what: String { "trajectory \(trajectory.id)" }
            let response = trajectory.responseIDs.count
            try Check.string(trajectory.teacher, "\(what): teacher", limits)
            try Check.positive(trajectory.promptIDs.count, "\(what): prompt_count")
            try Check.sequence(trajectory.promptIDs.count + response, what, limits)
            try Check.quantity(Double(trajectory.temperature), "\(what): temperature")
            try Check.require(
                trajectory.behaviourLogprobs.count == response && trajectory.policyVersions.count == response,
                .lengthMismatch,
                "\(what): \(response) response tokens, \(trajectory.behaviourLogprobs.count) log-probabilities, "
                    + "\(trajectory.policyVersions.count) versions")
            var header = PBTrajectory()
            header.id = PBRolloutId(trajectory.id)
            header.kind = PBRolloutKind(trajectory.kind)
            header.teacher = trajectory.teacher
            header.promptCount = UInt32(trajectory.promptIDs.count)
            header.responseCount = UInt32(response)
            header.versionRuns = VersionRuns.encode(trajectory.policyVersions)
            header.finishReason = trajectory.finishReason == .stop ? .stop : .length
            header.temperature = trajectory.temperature
            trajectories.append(header)
            ids.append(trajectory.promptIDs)
            ids.append(trajectory.responseIDs)
        }
        try arrays.appendTokenIDs(ids)
        try arrays.appendLogprobs(value.trajectories.map(\.behaviourLogprobs))
    }
}
