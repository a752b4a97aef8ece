"""The layer over MAX's matmul, and where everything of a call lies."""

from std.math import ceildiv

comptime Address[T: AnyType] = Pointer[T, MutUntrackedOrigin]
comptime CACHE_LINE = 64


@fieldwise_init
struct Packed(Copyable, ImplicitlyCopyable, Movable):
    """All experts' matrices of one kind, one after the other, each [rows, columns] with what MAX pads its tiles to."""

    var address: Int
    var rows: Int
    var columns: Int


@fieldwise_init
struct Layer(Copyable, Movable):
    """Dimensions, bytes of an element, the address of the router [d, experts], and the experts' packed matrices."""

    var d: Int
    var f: Int
    var experts: Int
    var top_k: Int
    var renormalize: Bool
    var element: Int
    var router: Int
    var up: Packed
    var down: Packed


struct Workspace(Movable):
    """The addresses of what lies between x and the output, one after the other, each on a cache line of its own."""

    var logits: Int
    var first: Int
    var row_of_slot: Int
    var rows: Int
    var hidden: Int
    var answers: Int
    var end: Int

    def __init__(out self, layer: Layer, tokens: Int, address: Int):
        """Laid out from the first whole cache line after `address`."""
        var slots = tokens * layer.top_k
        self.logits = on_line(address)
        self.first = on_line(self.logits + tokens * layer.experts * 4)
        self.row_of_slot = on_line(self.first + (layer.experts + 1) * 8)
        self.rows = on_line(self.row_of_slot + slots * 8)
        self.hidden = on_line(self.rows + slots * layer.d * layer.element)
        self.answers = on_line(self.hidden + slots * layer.f * layer.element)
        self.end = self.answers + slots * layer.d * 4


@always_inline
def at[T: AnyType](address: Int) -> Address[T]:
    """The address as a typed pointer."""
    return Address[T](unsafe_from_address=address)


@always_inline
def on_line(address: Int) -> Int:
    """The first cache line from there."""
    return ceildiv(address, CACHE_LINE) * CACHE_LINE
