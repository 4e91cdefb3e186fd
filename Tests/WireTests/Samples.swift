import Distillation
import Wire

/// One message of every kind, with values that reach every field.
enum Samples {
    static let sampling = SamplingSettings(maxTokens: 48, temperature: 0.5, topP: 0.75, topK: 40, stopTokenIDs: [2, 7])
    static let greedy = SamplingSettings(maxTokens: 8, temperature: 0, topP: 1, topK: 0, stopTokenIDs: [])

    static let all: [Message] = [
        .hello(
            Hello(
                role: .scorer, name: "scorer-1", arithmetic: "m", tokenizerFingerprint: "t",
                teachers: ["default", "math"], processID: 4242,
                teacher: TeacherDescription(
                    contextLength: 8192, vocabularySize: 49152, templateIdentity: "chat",
                    forwardCost: PassCost(perToken: 2.5e8, perResponseToken: 5e7, perPair: 1024)), isReproducible: true)
        ),
        .welcome(
            Welcome(
                runID: "smollm2", epoch: 0xfeed_beef_0000_0001, heartbeatSeconds: 2, leaseSeconds: 60, version: 7)),
        .reject(Reject(code: .tokenizerMismatch, message: "another tokenizer")),
        .heartbeat(
            Heartbeat(
                status: MemberStatus(state: "sampling", tokens: 1000, tokensPerSecond: 12.5, version: 3),
                leaseIDs: [1, 300], epoch: 9)),
        .heartbeatReply(HeartbeatReply(epoch: 9, version: 4)),
        .goodbye(Goodbye(reason: "stopped")),
        .shutdown(Shutdown(reason: "finished")),
        .leaseRequest(LeaseRequest(count: 4, epoch: 9)),
        .rolloutGrant(
            RolloutGrant(groups: [
                RolloutGroup(
                    leaseID: 77, kind: .train, group: 5, samples: [0, 1, 3], promptIDs: [1, 2, 300],
                    sampling: sampling, seed: 1, minimumVersion: 2),
                RolloutGroup(
                    leaseID: 78, kind: .train, group: 6, samples: [2], promptIDs: [4], sampling: sampling, seed: 3,
                    minimumVersion: 2),
                RolloutGroup(
                    leaseID: 79, kind: .evaluation, group: 0, samples: [0], promptIDs: [9], sampling: greedy, seed: 1,
                    minimumVersion: 2),
            ])),
        .trajectories(
            Trajectories(
                results: [
                    RolloutResult(
                        id: RolloutID(group: 5, sample: 1), kind: .train, responseIDs: [3, 4, 5],
                        behaviourLogprobs: [-0.5, -1, -2.25], policyVersions: [6, 6, 7], finishReason: .stop),
                    RolloutResult(
                        id: RolloutID(group: 6, sample: 0), kind: .evaluation, responseIDs: [49151],
                        behaviourLogprobs: [-10], policyVersions: [0], finishReason: .length),
                ], epoch: 9)),
        .scoreGrant(
            ScoreGrant(tasks: [
                ScoreTask(
                    id: RolloutID(group: 5, sample: 1), kind: .train, teacher: "default", ids: [1, 2, 3, 4, 5],
                    promptCount: 2, leaseID: 80)
            ])),
        .scores(
            Scores(
                scores: [
                    Score(id: RolloutID(group: 5, sample: 1), kind: .train, logprobs: [-0.25, -3, -0.125])
                ], epoch: 9)),
        .acknowledge(Acknowledge(items: [WorkItem(id: RolloutID(group: 5, sample: 1), kind: .train)])),
        .revoke(Revoke(items: [WorkItem(id: RolloutID(group: 6, sample: 0), kind: .evaluation)])),
        .weightsAnnounce(
            WeightsAnnounce(
                version: 7,
                manifest: WeightManifest(
                    matrixType: .bf16,
                    tensors: [
                        .init(name: "norm", shape: [1], type: .f32, byteOffset: 0),
                        .init(name: "head", shape: [1, 3], type: .bf16, byteOffset: 4),
                    ], byteCount: 10),
                chunkByteCount: 4, chunkCount: 3, checksum: 0xcbf4_3926,
                sharedMemoryPath: "/dev/shm/opd-x-7", hostID: "boot@host")),
        .weightsRequest(WeightsRequest(version: 7, firstChunk: 1, credit: 2)),
        .weightsChunk(WeightsChunk(version: 7, index: 2, checksum: 5, payload: Frame([8, 9]))),
        .statusRequest,
        .status(status),
    ]

    static let status: Status = {
        var status = Status(runID: "smollm2", epoch: 9, version: 3, steps: 40)
        (status.uptimeSeconds, status.doing) = (12.5, "waiting")
        (status.waitingFor, status.waitingSeconds) = ("waiting for 2 rollouts", 6.5)
        status.batch = .init(total: 8, missing: 2, ready: 5)
        status.evaluation = .init(total: 3, missing: 1, ready: 1)
        (status.pendingGroups, status.leases) = (2, 4)
        status.queues = [.init(teacher: "math", waiting: 1)]
        (status.generated, status.trained, status.discarded, status.inFlight) = (100, 60, 10, 30)
        status.members = [
            .init(
                name: "rollout-0", role: .rollout, teachers: [], leases: 1, tasks: 2, window: 64, state: "sampling 2",
                tokensPerSecond: 12.5, version: 3, silenceSeconds: 0.5),
            .init(
                name: "scorer-0", role: .scorer, teachers: ["math"], leases: 1, tasks: 1, window: 32,
                state: "grading 1", tokensPerSecond: 2, version: 0, silenceSeconds: 1.5),
        ]
        return status
    }()

    static func hex(_ frames: [Frame]) -> String {
        let digits = Array("0123456789abcdef")
        return frames.map { frame in
            String(frame.array.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
        }.joined(separator: "|")
    }

    static func frames(_ hex: Substring) -> [Frame] {
        hex.split(separator: "|", omittingEmptySubsequences: false).map { text in
            let digits = Array(text.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
            return Frame(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
        }
    }
}
