import Distillation
import Wire

/// Teachers that are the student's own earlier self: which of its versions grades what, and who is sent which.
extension Exchange {
    /// The version of the student's weights that this teacher grades an item with; nil: it has weights of its own.
    ///
    /// What is trained on by a step is graded with the version that was the teacher's when that step began, and so does
    /// not depend on when it is graded.
    func weightsVersion(of teacher: String, for item: WorkItem) -> UInt64? {
        plan.weightsVersion(of: teacher, at: item.kind == .train ? plan.step(of: item.id.group) : version)
    }

    /// Whether a teacher can grade an item at all: there may not be the weights yet that are to do it. Those of the
    /// next step are always there.
    func isGradable(_ item: WorkItem, by teacher: String) -> Bool {
        weightsVersion(of: teacher, for: item).map { $0 <= version } ?? true
    }

    /// The version that a member is to have, where that is not the newest one: that of its teacher.
    package func followedVersion(of peer: PeerID) -> UInt64? {
        guard let member = members[peer], member.role == .scorer else { return nil }
        return member.teachers.lazy.compactMap { self.plan.weightsVersion(of: $0, at: self.version) }.first
    }

    /// The teacher whose weights a member is to have, where they are an average of the student's.
    package func followedAverage(of peer: PeerID) -> String? {
        guard let member = members[peer], member.role == .scorer else { return nil }
        return member.teachers.first(where: plan.averages.contains)
    }

    /// The scorers whose teachers have the student's present weights from now on or, with a teacher that is an average of
    /// them, that average.
    package func followers(of average: String? = nil) -> [PeerID] {
        peers(.scorer).filter { followedVersion(of: $0) == version && followedAverage(of: $0) == average }
    }

    /// Why a scorer cannot be an earlier self of the student; nil: it can, or need not.
    func refusalOfFollower(_ hello: Hello) -> Reject? {
        guard let label = hello.teachers.sorted().first(where: { plan.refreshes[$0] != nil }) else { return nil }
        if !hello.followsWeights {
            return Reject(
                code: .unsuitableTeacher,
                message: "\(hello.name) grades with weights of its own, and teacher '\(label)' gets the student's "
                    + "(\(plan.followingKey(of: label))); start it with this run's configuration, and the same opd")
        }
        guard hello.teachers.count > 1 else { return nil }
        return Reject(
            code: .unsuitableTeacher,
            message:
                "\(hello.name) grades for \(hello.teachers.count) teachers, of which '\(label)' gets the student's "
                + "weights (\(plan.followingKey(of: label))); start a scorer for each")
    }
}
