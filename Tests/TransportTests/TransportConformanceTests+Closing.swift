import Testing
import Transport
import Wire

/// What closes, while others send and wait.
extension TransportConformanceTests {
    @Test(arguments: links)
    func closesWhileOthersSend(_ link: Link) async throws {
        for _ in 0..<5 {
            var options = TransportOptions()
            options.linger = .milliseconds(100)
            let learner = try link.learner(options)
            let member = try link.member(learner, "w", options)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for index in 0..<500 {
                            try? member.send(.heartbeatReply(HeartbeatReply(epoch: 0, version: UInt64(index))))
                            try? learner.send(.shutdown(Shutdown(reason: "x")), to: PeerID("w"))
                        }
                    }
                }
                group.addTask { for await _ in learner.events {} }
                group.addTask { for await _ in member.events {} }
                group.addTask {
                    await learner.close()
                    await member.close()
                }
            }
            await learner.close()
        }
    }

    @Test(arguments: links)
    func closeSendsWhatIsQueued(_ link: Link) async throws {
        let learner = try link.learner(.init())
        let member = try link.member(learner, "w", .init())
        for index in 0..<100 { try member.send(.goodbye(Goodbye(reason: "\(index)"))) }
        await member.close()
        var events = learner.events.makeAsyncIterator()
        for index in 0..<100 {
            #expect(await events.next() == .message(.goodbye(Goodbye(reason: "\(index)")), from: PeerID("w")))
        }
        await learner.close()
    }

    @Test(arguments: links)
    func cancelledConsumerGetsNil(_ link: Link) async throws {
        let learner = try link.learner(.init())
        let task = Task {
            var count = 0
            for await _ in learner.events { count += 1 }
            return count
        }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        #expect(await task.value == 0)
        await learner.close()
    }
}
