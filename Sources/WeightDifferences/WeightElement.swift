/// The bits of one weight, or of a byte that is part of none.
protocol WeightElement: FixedWidthInteger & UnsignedInteger & Sendable {}

extension UInt8: WeightElement {}
extension UInt16: WeightElement {}
extension UInt32: WeightElement {}

extension WeightElement {
    private static var sign: Self { 1 << (bitWidth - 1) }

    /// The place of the number among all of its type: floating-point bits whose order is that of what they stand for.
    /// Every pattern of bits has its own, those of no number too.
    private var place: Self { self ^ (self & Self.sign == 0 ? Self.sign : .max) }

    private init(place: Self) { self = place ^ (place & Self.sign == 0 ? .max : Self.sign) }

    /// How far it is from `base`, zigzagged: 0 for the same bits, small for a near number.
    func step(from base: Self) -> Self {
        let distance = place &- base.place
        return (distance << 1) ^ (0 &- (distance >> (Self.bitWidth - 1)))
    }

    /// The element that is a step away.
    func moved(by step: Self) -> Self { Self(place: place &+ ((step >> 1) ^ (0 &- (step & 1)))) }
}
