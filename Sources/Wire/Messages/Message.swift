/// Everything the processes of a run say to each other.
///
/// Members (rollout workers and scorers) talk to the learner only. Arrows give the direction.
package enum Message: Sendable, Equatable {
    /// member → learner: first message of a connection, and again after `reject(.unknownPeer)`.
    case hello(Hello)
    /// learner → member: the answer to an accepted hello.
    case welcome(Welcome)
    /// learner → member: what it asked for cannot be.
    case reject(Reject)
    /// member → learner, every `Welcome.heartbeatSeconds`.
    case heartbeat(Heartbeat)
    /// learner → member: the answer to a heartbeat.
    case heartbeatReply(HeartbeatReply)
    /// member → learner: it leaves; its leases are free.
    case goodbye(Goodbye)
    /// learner → member: the run is over.
    case shutdown(Shutdown)

    /// member → learner: asks for work.
    case leaseRequest(LeaseRequest)
    /// learner → rollout worker.
    case rolloutGrant(RolloutGrant)
    /// rollout worker → learner: results, sent again until acknowledged.
    case trajectories(Trajectories)
    /// learner → scorer.
    case scoreGrant(ScoreGrant)
    /// scorer → learner: results, sent again until acknowledged.
    case scores(Scores)
    /// learner → member: these results are in the ledger (or no longer wanted); forget them.
    case acknowledge(Acknowledge)
    /// learner → member: these leases are void; stop working on them.
    case revoke(Revoke)

    /// learner → rollout worker: there is a new weight version.
    case weightsAnnounce(WeightsAnnounce)
    /// rollout worker → learner: send these chunks.
    case weightsRequest(WeightsRequest)
    /// learner → rollout worker.
    case weightsChunk(WeightsChunk)

    /// anybody → learner: how is the run?
    case statusRequest
    /// learner → whoever asked.
    case status(Status)
}

extension Message {
    /// The roles whose members send it to the learner: for a hello the role that it claims. Nil: only a learner sends it.
    package var senders: Set<Role>? {
        switch self {
        case .hello(let hello): [hello.role]
        case .heartbeat, .leaseRequest, .goodbye, .statusRequest: [.rollout, .scorer]
        case .trajectories, .weightsRequest: [.rollout]
        case .scores: [.scorer]
        case .welcome, .reject, .heartbeatReply, .shutdown, .rolloutGrant, .scoreGrant, .acknowledge, .revoke,
            .weightsAnnounce, .weightsChunk, .status:
            nil
        }
    }

    /// The message's name as docs/protocol.md and logs write it.
    package var name: String {
        switch self {
        case .hello: "hello"
        case .welcome: "welcome"
        case .reject: "reject"
        case .heartbeat: "heartbeat"
        case .heartbeatReply: "heartbeat_reply"
        case .goodbye: "goodbye"
        case .shutdown: "shutdown"
        case .leaseRequest: "lease_request"
        case .rolloutGrant: "rollout_grant"
        case .trajectories: "trajectories"
        case .scoreGrant: "score_grant"
        case .scores: "scores"
        case .acknowledge: "acknowledge"
        case .revoke: "revoke"
        case .weightsAnnounce: "weights_announce"
        case .weightsRequest: "weights_request"
        case .weightsChunk: "weights_chunk"
        case .statusRequest: "status_request"
        case .status: "status"
        }
    }
}
