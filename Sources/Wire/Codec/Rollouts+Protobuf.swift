import Distillation
import Tokens

extension LeaseRequest {
    init(_ value: PBLeaseRequest, _ limits: WireLimits) throws(WireError) {
        self.init(count: Int(value.count), epoch: value.epoch)
        try Check.positive(count, "lease_request: count")
        try Check.items(count, "tasks", limits)
    }
}

extension PBLeaseRequest {
    init(_ value: LeaseRequest, _ limits: WireLimits) throws(WireError) {
        try Check.positive(value.count, "lease_request: count")
        try Check.items(value.count, "tasks", limits)
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
        try Check.items(stop.count, "stop texts", limits)
        for text in stop {
            try Check.string(text, "sampling: stop", limits)
            try Check.require(!text.isEmpty, .invalidValue, "sampling: a stop text is empty")
        }
        try Check.sequence(minTokens, "sampling: min_tokens", limits)
    }

    init(_ value: PBSampling, _ limits: WireLimits) throws(WireError) {
        self.init(
            maxTokens: Int(value.maxTokens), temperature: value.temperature, topP: value.topP, topK: Int(value.topK),
            stopTokenIDs: value.stopTokenIds, stop: value.stop, minTokens: Int(value.minTokens))
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
        stop = value.stop
        minTokens = try Check.uint32(value.minTokens, "sampling: min_tokens")
    }
}

extension RolloutGroup {
    private var what: String { "group \(group)" }

    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.positive(samples.count, "\(what): the number of samples")
        try Check.require(
            Set(samples).count == samples.count, .invalidValue, "\(what): a sample number comes twice")
        try Check.positive(promptIDs.count, "\(what): prompt_count")
        try Check.sequence(promptIDs.count, "\(what): prompt", limits)
        let episode = episode?.utf8.count ?? 0
        try Check.require(
            episode <= Self.longestEpisode, .oversized,
            "\(what): an episode of \(episode) bytes is above \(Self.longestEpisode)")
    }

    fileprivate init(
        _ value: PBRolloutGroup, _ samplings: [SamplingSettings], _ arrays: inout ArrayReader, _ limits: WireLimits
    ) throws(WireError) {
        try Check.require(
            Int(value.samplingIndex) < samplings.count, .lengthMismatch,
            "group \(value.group): sampling_index \(value.samplingIndex), but there are \(samplings.count) samplings")
        try Check.sequence(Int(value.promptCount), "group \(value.group): prompt", limits)
        self.init(
            leaseID: value.leaseID, kind: try RolloutKind(value.kind), group: value.group, samples: value.samples,
            promptIDs: try arrays.takeTokenIDs(Int(value.promptCount), "group \(value.group)"),
            sampling: samplings[Int(value.samplingIndex)], seed: value.seed, minimumVersion: value.minimumVersion)
        episode = value.episode.ifAny
        try check(limits)
    }
}

extension RolloutGrant {
    init(_ value: PBRolloutGrant, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.samplings.count, "samplings", limits)
        try Check.items(value.groups.reduce(0) { $0 + max(1, $1.samples.count) }, "tasks", limits)
        var samplings: [SamplingSettings] = []
        for sampling in value.samplings { samplings.append(try SamplingSettings(sampling, limits)) }
        var groups: [RolloutGroup] = []
        groups.reserveCapacity(value.groups.count)
        for group in value.groups { groups.append(try RolloutGroup(group, samplings, &arrays, limits)) }
        self.init(groups: groups)
    }
}

extension PBRolloutGrant {
    init(_ value: RolloutGrant, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.groups.reduce(0) { $0 + max(1, $1.samples.count) }, "tasks", limits)
        self.init()
        var indices: [SamplingSettings: UInt32] = [:]
        for group in value.groups {
            try group.check(limits)
            var header = PBRolloutGroup()
            header.leaseID = group.leaseID
            header.group = group.group
            header.kind = PBRolloutKind(group.kind)
            header.samples = group.samples
            header.seed = group.seed
            header.minimumVersion = group.minimumVersion
            header.episode = group.episode ?? ""
            header.promptCount = UInt32(group.promptIDs.count)
            if let index = indices[group.sampling] {
                header.samplingIndex = index
            } else {
                header.samplingIndex = UInt32(samplings.count)
                indices[group.sampling] = header.samplingIndex
                samplings.append(try PBSampling(group.sampling, limits))
            }
            groups.append(header)
        }
        try arrays.appendTokenIDs(value.groups.map(\.promptIDs))
    }
}

extension FinishReason {
    fileprivate init(_ reason: PBFinishReason) throws(WireError) {
        switch reason {
        case .stop: self = .stop
        case .length: self = .length
        case .turns: self = .turns
        case .environment: self = .environment
        case .unspecified, .UNRECOGNIZED: throw WireError(.unknownKind, "unknown finish reason \(reason.rawValue)")
        }
    }
}

extension PBFinishReason {
    fileprivate init(_ reason: FinishReason) {
        switch reason {
        case .stop: self = .stop
        case .length: self = .length
        case .turns: self = .turns
        case .environment: self = .environment
        }
    }
}

/// Run-length form of the policy version of every token.
package enum VersionRuns {
    /// Encodes at most 2^32 - 1 versions.
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
        var results: [RolloutResult] = []
        results.reserveCapacity(value.trajectories.count)
        for header in value.trajectories {
            let id = RolloutID(header.id)
            var what: String { "trajectory \(id)" }
            let count = Int(header.responseCount)
            try Check.sequence(count, what, limits)
            let tokens = TokenSequence(
                promptIDs: [], responseIDs: try arrays.takeTokenIDs(count, what),
                given: header.environment.map { Int($0.start)..<Int($0.start) + Int($0.count) })
            if let flaw = tokens.flawOfGiven { throw WireError(.invalidValue, "\(what): \(flaw)") }
            var result = RolloutResult(
                id: id, kind: try RolloutKind(header.kind), responseIDs: tokens.responseIDs,
                behaviourLogprobs: try arrays.takeLogprobs(tokens.predictedCount, what),
                policyVersions: try VersionRuns.decode(
                    header.versionRuns.map { ($0.version, $0.count) }, count: tokens.predictedCount, what),
                finishReason: try FinishReason(header.finishReason))
            result.given = tokens.given
            if header.hasReward { result.reward = try Check.reward(header.reward, what) }
            results.append(result)
        }
        self.init(results: results, epoch: value.epoch)
    }
}

extension PBTrajectories {
    init(_ value: Trajectories, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.results.count, "trajectories", limits)
        self.init()
        epoch = value.epoch
        for result in value.results {
            var what: String { "trajectory \(result.id)" }
            let count = result.responseIDs.count
            try Check.sequence(count, what, limits)
            let tokens = TokenSequence(promptIDs: [], responseIDs: result.responseIDs, given: result.given)
            if let flaw = tokens.flawOfGiven { throw WireError(.invalidValue, "\(what): \(flaw)") }
            let sampled = tokens.predictedCount
            try Check.require(
                result.behaviourLogprobs.count == sampled && result.policyVersions.count == sampled, .lengthMismatch,
                "\(what): \(sampled) sampled tokens, \(result.behaviourLogprobs.count) log-probabilities, "
                    + "\(result.policyVersions.count) versions")
            var header = PBTrajectory()
            header.id = PBRolloutId(result.id)
            header.kind = PBRolloutKind(result.kind)
            header.responseCount = UInt32(count)
            header.versionRuns = VersionRuns.encode(result.policyVersions)
            header.finishReason = PBFinishReason(result.finishReason)
            header.environment = result.given.map { span in
                var header = PBTokenSpan()
                header.start = UInt32(span.lowerBound)
                header.count = UInt32(span.count)
                return header
            }
            if let reward = result.reward { header.reward = try Check.reward(reward, what) }
            trajectories.append(header)
        }
        try arrays.appendTokenIDs(value.results.map(\.responseIDs))
        try arrays.appendLogprobs(value.results.map(\.behaviourLogprobs))
    }
}
