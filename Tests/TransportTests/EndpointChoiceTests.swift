import Testing
import Transport

@Suite struct EndpointChoiceTests {
    @Test func oneEndpointIsAllThereIs() {
        var choice = EndpointChoice(count: 1)
        for second in 0..<100 {
            choice.sent(now: .seconds(second))
            #expect(choice.next(now: .seconds(second)) == nil)
        }
    }

    @Test func anAbsentEndpointIsLeftForTheNextAndInTheEndForTheFirst() {
        var choice = EndpointChoice(count: 3)
        #expect(choice.next(now: .seconds(10)) == nil)
        #expect(choice.next(now: .seconds(12.9)) == nil)
        #expect(choice.next(now: .seconds(13)) == 1)
        #expect(choice.next(now: .seconds(15)) == nil)
        #expect(choice.next(now: .seconds(16)) == 2)
        #expect(choice.next(now: .seconds(19)) == 0)
        #expect(choice.index == 0)
    }

    @Test func aConnectionThatBreaksHasTheTimeToComeBack() {
        var choice = EndpointChoice(count: 2)
        choice.saw(.connected, now: .zero)
        #expect(choice.next(now: .seconds(20)) == nil)
        choice.saw(.disconnected(descriptor: 4), now: .seconds(20))
        // Another failure to connect is not another beginning.
        choice.saw(.disconnected(descriptor: 4), now: .seconds(22))
        #expect(choice.next(now: .seconds(22)) == nil)
        choice.saw(.connected, now: .seconds(22))
        #expect(choice.next(now: .seconds(24)) == nil)
        choice.saw(.disconnected(descriptor: 5), now: .seconds(24))
        #expect(choice.next(now: .seconds(27)) == 1)
    }

    @Test func aRelayWhoseLearnerIsAwayIsKeptForLonger() {
        var choice = EndpointChoice(count: 2)
        choice.saw(.connected, now: .zero)
        // Silence of one who was asked nothing is none.
        #expect(choice.next(now: .seconds(100)) == nil)
        choice.sent(now: .seconds(100))
        choice.sent(now: .seconds(110))
        #expect(choice.next(now: .seconds(129)) == nil)
        choice.heard()
        #expect(choice.next(now: .seconds(131)) == nil)
        choice.sent(now: .seconds(140))
        #expect(choice.next(now: .seconds(170)) == 1)
        #expect(choice.next(now: .seconds(171)) == nil)
    }

    /// Members behind a relay stay with it while it leaves the one before it.
    @Test func aRelayGivesUpBeforeItsMembersDo() {
        var relay = EndpointChoice(count: 2, silence: .seconds(15)), member = EndpointChoice(count: 2)
        for second in stride(from: 0.0, through: 60, by: 0.5) {
            let now = Duration.seconds(second)
            if second == 0 {
                relay.saw(.connected, now: now)
                member.saw(.connected, now: now)
                member.sent(now: now)
                relay.sent(now: now)
            }
            if relay.next(now: now) != nil {
                #expect(second == 15)
                relay.saw(.connected, now: now)
                // What members say next is answered.
                relay.heard()
                member.heard()
            }
            #expect(member.next(now: now) == nil)
        }
        #expect(relay.index == 1)
    }
}
