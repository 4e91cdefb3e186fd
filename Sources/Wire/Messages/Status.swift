/// How a run is: who is there, what waits for whom. Anybody who reaches the learner may ask.
package struct Status: Sendable, Equatable {
    /// How far a batch is.
    package struct Batch: Sendable, Equatable {
        package var total: Int
        /// Tasks that have no trajectory yet.
        package var missing: Int
        /// Tasks that have a trajectory and its grades.
        package var ready: Int

        package init(total: Int = 0, missing: Int = 0, ready: Int = 0) {
            self.total = total
            self.missing = missing
            self.ready = ready
        }
    }

    /// Trajectories that wait for a scorer of a teacher.
    package struct Queue: Sendable, Equatable {
        package var teacher: String
        package var waiting: Int

        package init(teacher: String, waiting: Int) {
            self.teacher = teacher
            self.waiting = waiting
        }
    }

    /// A member as the learner knows it.
    package struct Member: Sendable, Equatable {
        package var name: String
        package var role: Role
        package var teachers: [String]
        package var leases: Int
        package var tasks: Int
        /// Tasks it asked to hold.
        package var window: Int
        package var state: String
        package var tokensPerSecond: Double
        /// Weight version in use; `MemberStatus.noVersion`: none yet.
        package var version: UInt64
        package var silenceSeconds: Double

        package init(
            name: String, role: Role, teachers: [String], leases: Int, tasks: Int, window: Int, state: String,
            tokensPerSecond: Double, version: UInt64, silenceSeconds: Double
        ) {
            self.name = name
            self.role = role
            self.teachers = teachers
            self.leases = leases
            self.tasks = tasks
            self.window = window
            self.state = state
            self.tokensPerSecond = tokensPerSecond
            self.version = version
            self.silenceSeconds = silenceSeconds
        }
    }

    package var runID: String
    package var epoch: UInt64
    /// Completed steps.
    package var version: UInt64
    /// Steps of the whole run.
    package var steps: UInt64
    package var uptimeSeconds = 0.0
    /// What the learner does, for a person.
    package var doing = ""
    /// Who is waited for, for a person; nil: nobody.
    package var waitingFor: String?
    /// Seconds since the last rollout or grade that came in.
    package var waitingSeconds = 0.0
    package var batch = Batch()
    /// Progress of the evaluation under way; total 0: none.
    package var evaluation = Batch()
    /// Prompts that wait for a rollout worker.
    package var pendingGroups = 0
    package var queues: [Queue] = []
    package var leases = 0
    package var generated: UInt64 = 0
    package var trained: UInt64 = 0
    package var discarded: UInt64 = 0
    package var inFlight: UInt64 = 0
    package var members: [Member] = []
    /// How far the copies of checkpoints are, for a person; empty: there are none.
    package var copies = ""

    package init(runID: String, epoch: UInt64, version: UInt64, steps: UInt64) {
        self.runID = runID
        self.epoch = epoch
        self.version = version
        self.steps = steps
    }
}
