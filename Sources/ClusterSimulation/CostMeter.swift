import Glibc

/// Adds up what a piece of work costs this thread, in CPU time: a machine that is busy with other things makes wall time
/// longer, and this hardly.
package struct CostMeter: Sendable {
    /// Seconds of the thread's CPU time.
    package private(set) var seconds = 0.0
    /// Pieces of work that took them.
    package private(set) var count = 0
    /// Seconds of the longest measurement.
    package private(set) var longest = 0.0

    package init() {}

    /// Seconds a piece; 0 where there was none.
    package var mean: Double { count > 0 ? seconds / Double(count) : 0 }

    /// Books what has passed since `start`, a value of `now`, for so many pieces of work.
    package mutating func add(since start: Double, count pieces: Int = 1) {
        let passed = Self.now - start
        seconds += passed
        count += pieces
        longest = max(longest, passed)
    }

    /// Seconds of CPU time that this thread has used.
    package static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// What a learner's work has cost in a simulated run.
package struct ClusterCosts: Sendable {
    /// Members' messages from frames to values.
    package var decoding = CostMeter()
    /// What the exchange does with them, grants that follow at once included.
    package var receiving = CostMeter()
    /// The learner's messages from values to frames.
    package var encoding = CostMeter()
    /// What the learner asks of the exchange after every burst: whether the batch is complete, and who has work.
    package var waking = CostMeter()
    /// Hellos alone, which `receiving` holds too.
    package var joining = CostMeter()
    package var ticking = CostMeter()
    /// Grants at the beginning of a step, when every worker is idle.
    package var granting = CostMeter()
    /// Collecting and closing a batch, a trajectory.
    package var closing = CostMeter()
    /// An answer to `opd status`, encoded.
    package var status = CostMeter()
    /// Bytes of the largest answer.
    package var statusBytes = 0
    package var bytesIn = 0
    package var bytesOut = 0
    package var messagesOut = 0

    package init() {}

    /// Seconds of everything that the learner has done.
    package var seconds: Double {
        decoding.seconds + receiving.seconds + encoding.seconds + waking.seconds + ticking.seconds + granting.seconds
            + closing.seconds
    }

    /// Seconds of everything that a message costs: reading it, acting on it, writing what it causes.
    package var secondsPerMessage: Double {
        let all = decoding.seconds + receiving.seconds + encoding.seconds + waking.seconds
        return decoding.count > 0 ? all / Double(decoding.count) : 0
    }
}
