; The machine's floating point, written down by the code that the interpreter runs: do not edit.

(define-sort Nat () (_ BitVec 128))

(define-fun bit_length ((x Nat)) Nat
  (let ((n6 (ite (bvult x (_ bv18446744073709551616 128)) (_ bv0 128) (_ bv64 128))))
  (let ((n5 (bvadd n6 (ite (bvult (bvlshr x n6) (_ bv4294967296 128)) (_ bv0 128) (_ bv32 128)))))
  (let ((n4 (bvadd n5 (ite (bvult (bvlshr x n5) (_ bv65536 128)) (_ bv0 128) (_ bv16 128)))))
  (let ((n3 (bvadd n4 (ite (bvult (bvlshr x n4) (_ bv256 128)) (_ bv0 128) (_ bv8 128)))))
  (let ((n2 (bvadd n3 (ite (bvult (bvlshr x n3) (_ bv16 128)) (_ bv0 128) (_ bv4 128)))))
  (let ((n1 (bvadd n2 (ite (bvult (bvlshr x n2) (_ bv4 128)) (_ bv0 128) (_ bv2 128)))))
  (let ((n0 (bvadd n1 (ite (bvult (bvlshr x n1) (_ bv2 128)) (_ bv0 128) (_ bv1 128)))))
  (bvadd n0 (ite (= x (_ bv0 128)) (_ bv0 128) (_ bv1 128)))))))))))

(define-fun infinity ((man Nat) (width Nat)) Nat
  (bvsub (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvshl (_ bv1 128) man)))

(define-fun infinity.safe ((man Nat) (width Nat)) Bool
  (and true true
    (bvuge width (_ bv1 128))
    (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) (_ bv1 128)))
    (and (bvult man (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) man) man) (_ bv1 128)))
    (bvuge (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvshl (_ bv1 128) man))))

(define-fun magnitude ((x Nat) (width Nat)) Nat
  (bvand x (bvsub (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (_ bv1 128))))

(define-fun magnitude.safe ((x Nat) (width Nat)) Bool
  (and true true
    (bvuge width (_ bv1 128))
    (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) (_ bv1 128)))
    (bvuge (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (_ bv1 128))))

(define-fun unpack.sign ((x Nat) (man Nat) (width Nat)) Nat
  (let ((fraction.0 (bvand x (bvsub (bvshl (_ bv1 128) man) (_ bv1 128)))))
  (let ((mag.1 (magnitude x width)))
  (let ((field.2 (bvlshr mag.1 man)))
  (let ((least.3 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((taken.4 (= field.2 (_ bv0 128))))
  (let ((up.5 (bvsub (bvadd man (_ bv1 128)) (bit_length fraction.0))))
  (let ((exp.6 (ite taken.4 (ite (= fraction.0 (_ bv0 128)) (_ bv4096 128) (bvsub least.3 up.5)) (bvsub (bvadd least.3 field.2) (_ bv1 128)))))
  (let ((sig.7 (ite taken.4 (bvshl fraction.0 up.5) (bvor fraction.0 (bvshl (_ bv1 128) man)))))
  (bvlshr x (bvsub width (_ bv1 128))))))))))))

(define-fun unpack.exp ((x Nat) (man Nat) (width Nat)) Nat
  (let ((fraction.0 (bvand x (bvsub (bvshl (_ bv1 128) man) (_ bv1 128)))))
  (let ((mag.1 (magnitude x width)))
  (let ((field.2 (bvlshr mag.1 man)))
  (let ((least.3 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((taken.4 (= field.2 (_ bv0 128))))
  (let ((up.5 (bvsub (bvadd man (_ bv1 128)) (bit_length fraction.0))))
  (let ((exp.6 (ite taken.4 (ite (= fraction.0 (_ bv0 128)) (_ bv4096 128) (bvsub least.3 up.5)) (bvsub (bvadd least.3 field.2) (_ bv1 128)))))
  (let ((sig.7 (ite taken.4 (bvshl fraction.0 up.5) (bvor fraction.0 (bvshl (_ bv1 128) man)))))
  exp.6)))))))))

(define-fun unpack.sig ((x Nat) (man Nat) (width Nat)) Nat
  (let ((fraction.0 (bvand x (bvsub (bvshl (_ bv1 128) man) (_ bv1 128)))))
  (let ((mag.1 (magnitude x width)))
  (let ((field.2 (bvlshr mag.1 man)))
  (let ((least.3 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((taken.4 (= field.2 (_ bv0 128))))
  (let ((up.5 (bvsub (bvadd man (_ bv1 128)) (bit_length fraction.0))))
  (let ((exp.6 (ite taken.4 (ite (= fraction.0 (_ bv0 128)) (_ bv4096 128) (bvsub least.3 up.5)) (bvsub (bvadd least.3 field.2) (_ bv1 128)))))
  (let ((sig.7 (ite taken.4 (bvshl fraction.0 up.5) (bvor fraction.0 (bvshl (_ bv1 128) man)))))
  sig.7)))))))))

(define-fun unpack.safe ((x Nat) (man Nat) (width Nat)) Bool
  (let ((fraction.0 (bvand x (bvsub (bvshl (_ bv1 128) man) (_ bv1 128)))))
  (let ((mag.1 (magnitude x width)))
  (let ((field.2 (bvlshr mag.1 man)))
  (let ((least.3 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((taken.4 (= field.2 (_ bv0 128))))
  (let ((up.5 (bvsub (bvadd man (_ bv1 128)) (bit_length fraction.0))))
  (let ((exp.6 (ite taken.4 (ite (= fraction.0 (_ bv0 128)) (_ bv4096 128) (bvsub least.3 up.5)) (bvsub (bvadd least.3 field.2) (_ bv1 128)))))
  (let ((sig.7 (ite taken.4 (bvshl fraction.0 up.5) (bvor fraction.0 (bvshl (_ bv1 128) man)))))
  (and true true
    (and (bvult man (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) man) man) (_ bv1 128)))
    (bvuge (bvshl (_ bv1 128) man) (_ bv1 128))
    (magnitude.safe x width)
    (bvult man (_ bv128 128))
    (bvuge width man)
    (bvuge (bvsub width man) (_ bv2 128))
    (and (bvult (bvsub (bvsub width man) (_ bv2 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128))) (bvsub (bvsub width man) (_ bv2 128))) (_ bv1 128)))
    (bvuge (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128))))
    (bvuge (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)
    (=> (and true taken.4) (bvuge (bvadd man (_ bv1 128)) man))
    (=> (and true taken.4) (bvuge (bvadd man (_ bv1 128)) (bit_length fraction.0)))
    (=> (and true taken.4) (bvuge least.3 up.5))
    (=> (and true taken.4) (and (bvult up.5 (_ bv128 128)) (= (bvlshr (bvshl fraction.0 up.5) up.5) fraction.0)))
    (=> (and true (not taken.4)) (bvuge (bvadd least.3 field.2) least.3))
    (=> (and true (not taken.4)) (bvuge (bvadd least.3 field.2) (_ bv1 128)))
    (=> (and true (not taken.4)) (and (bvult man (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) man) man) (_ bv1 128))))
    (bvuge width (_ bv1 128))
    (bvult (bvsub width (_ bv1 128)) (_ bv128 128))))))))))))

(define-fun multiply.sign ((a Nat) (b Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (bvxor sign.0 sign.3))))))))

(define-fun multiply.exp ((a Nat) (b Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (bvsub (bvadd exp.1 exp.4) (_ bv8192 128)))))))))

(define-fun multiply.product ((a Nat) (b Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (bvmul sig.2 sig.5))))))))

(define-fun multiply.safe ((a Nat) (b Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (and true true
    (unpack.safe a man width)
    (unpack.safe b man width)
    (bvuge (bvadd exp.1 exp.4) exp.1)
    (bvuge (bvadd exp.1 exp.4) (_ bv8192 128))
    (not (bvumulo sig.2 sig.5))))))))))

(define-fun shift_right_jam ((x Nat) (count Nat)) Nat
  (let ((down.0 (ite (bvult count (_ bv127 128)) count (_ bv127 128))))
  (let ((kept.1 (bvlshr x down.0)))
  (let ((lost.2 (not (= (bvshl kept.1 down.0) x))))
  (bvor kept.1 (ite lost.2 (_ bv1 128) (_ bv0 128)))))))

(define-fun shift_right_jam.safe ((x Nat) (count Nat)) Bool
  (let ((down.0 (ite (bvult count (_ bv127 128)) count (_ bv127 128))))
  (let ((kept.1 (bvlshr x down.0)))
  (let ((lost.2 (not (= (bvshl kept.1 down.0) x))))
  (and true true
    (bvult down.0 (_ bv128 128))
    (and (bvult down.0 (_ bv128 128)) (= (bvlshr (bvshl kept.1 down.0) down.0) kept.1)))))))

(define-fun align.exp ((exp_p Nat) (product Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((taken.0 (bvult exp_p exp_c)))
  (let ((gap.1 (bvsub exp_c exp_p)))
  (let ((up.2 (ite (bvult gap.1 (_ bv72 128)) gap.1 (_ bv72 128))))
  (let ((jammed.3 (shift_right_jam product (bvsub gap.1 up.2))))
  (let ((gap.4 (bvsub exp_p exp_c)))
  (let ((up.5 (ite (bvult gap.4 (_ bv19 128)) gap.4 (_ bv19 128))))
  (let ((jammed.6 (shift_right_jam addend (bvsub gap.4 up.5))))
  (let ((exp.7 (ite taken.0 (bvsub exp_c up.2) (bvsub exp_p up.5))))
  (let ((p.8 (ite taken.0 jammed.3 (bvshl product up.5))))
  (let ((c.9 (ite taken.0 (bvshl addend up.2) jammed.6)))
  exp.7)))))))))))

(define-fun align.p ((exp_p Nat) (product Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((taken.0 (bvult exp_p exp_c)))
  (let ((gap.1 (bvsub exp_c exp_p)))
  (let ((up.2 (ite (bvult gap.1 (_ bv72 128)) gap.1 (_ bv72 128))))
  (let ((jammed.3 (shift_right_jam product (bvsub gap.1 up.2))))
  (let ((gap.4 (bvsub exp_p exp_c)))
  (let ((up.5 (ite (bvult gap.4 (_ bv19 128)) gap.4 (_ bv19 128))))
  (let ((jammed.6 (shift_right_jam addend (bvsub gap.4 up.5))))
  (let ((exp.7 (ite taken.0 (bvsub exp_c up.2) (bvsub exp_p up.5))))
  (let ((p.8 (ite taken.0 jammed.3 (bvshl product up.5))))
  (let ((c.9 (ite taken.0 (bvshl addend up.2) jammed.6)))
  p.8)))))))))))

(define-fun align.c ((exp_p Nat) (product Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((taken.0 (bvult exp_p exp_c)))
  (let ((gap.1 (bvsub exp_c exp_p)))
  (let ((up.2 (ite (bvult gap.1 (_ bv72 128)) gap.1 (_ bv72 128))))
  (let ((jammed.3 (shift_right_jam product (bvsub gap.1 up.2))))
  (let ((gap.4 (bvsub exp_p exp_c)))
  (let ((up.5 (ite (bvult gap.4 (_ bv19 128)) gap.4 (_ bv19 128))))
  (let ((jammed.6 (shift_right_jam addend (bvsub gap.4 up.5))))
  (let ((exp.7 (ite taken.0 (bvsub exp_c up.2) (bvsub exp_p up.5))))
  (let ((p.8 (ite taken.0 jammed.3 (bvshl product up.5))))
  (let ((c.9 (ite taken.0 (bvshl addend up.2) jammed.6)))
  c.9)))))))))))

(define-fun align.safe ((exp_p Nat) (product Nat) (exp_c Nat) (addend Nat)) Bool
  (let ((taken.0 (bvult exp_p exp_c)))
  (let ((gap.1 (bvsub exp_c exp_p)))
  (let ((up.2 (ite (bvult gap.1 (_ bv72 128)) gap.1 (_ bv72 128))))
  (let ((jammed.3 (shift_right_jam product (bvsub gap.1 up.2))))
  (let ((gap.4 (bvsub exp_p exp_c)))
  (let ((up.5 (ite (bvult gap.4 (_ bv19 128)) gap.4 (_ bv19 128))))
  (let ((jammed.6 (shift_right_jam addend (bvsub gap.4 up.5))))
  (let ((exp.7 (ite taken.0 (bvsub exp_c up.2) (bvsub exp_p up.5))))
  (let ((p.8 (ite taken.0 jammed.3 (bvshl product up.5))))
  (let ((c.9 (ite taken.0 (bvshl addend up.2) jammed.6)))
  (and true true
    (=> (and true taken.0) (bvuge exp_c exp_p))
    (=> (and true taken.0) (bvuge gap.1 up.2))
    (=> (and true taken.0) (shift_right_jam.safe product (bvsub gap.1 up.2)))
    (=> (and true taken.0) (bvuge exp_c up.2))
    (=> (and true taken.0) (and (bvult up.2 (_ bv128 128)) (= (bvlshr (bvshl addend up.2) up.2) addend)))
    (=> (and true (not taken.0)) (bvuge exp_p exp_c))
    (=> (and true (not taken.0)) (bvuge gap.4 up.5))
    (=> (and true (not taken.0)) (shift_right_jam.safe addend (bvsub gap.4 up.5)))
    (=> (and true (not taken.0)) (bvuge exp_p up.5))
    (=> (and true (not taken.0)) (and (bvult up.5 (_ bv128 128)) (= (bvlshr (bvshl product up.5) up.5) product)))))))))))))))

(define-fun add_signed.sign ((rm Nat) (sign_a Nat) (a Nat) (sign_b Nat) (b Nat)) Nat
  (let ((taken.0 (= sign_a sign_b)))
  (let ((taken.1 (= a b)))
  (let ((taken.2 (bvult a b)))
  (let ((sign.3 (ite taken.2 sign_b sign_a)))
  (let ((sum.4 (ite taken.2 (bvsub b a) (bvsub a b))))
  (let ((sign.5 (ite taken.1 (ite (= rm (_ bv2 128)) (_ bv1 128) (_ bv0 128)) sign.3)))
  (let ((sum.6 (ite taken.1 (_ bv0 128) sum.4)))
  (let ((sign.7 (ite taken.0 sign_a sign.5)))
  (let ((sum.8 (ite taken.0 (bvadd a b) sum.6)))
  sign.7))))))))))

(define-fun add_signed.sum ((rm Nat) (sign_a Nat) (a Nat) (sign_b Nat) (b Nat)) Nat
  (let ((taken.0 (= sign_a sign_b)))
  (let ((taken.1 (= a b)))
  (let ((taken.2 (bvult a b)))
  (let ((sign.3 (ite taken.2 sign_b sign_a)))
  (let ((sum.4 (ite taken.2 (bvsub b a) (bvsub a b))))
  (let ((sign.5 (ite taken.1 (ite (= rm (_ bv2 128)) (_ bv1 128) (_ bv0 128)) sign.3)))
  (let ((sum.6 (ite taken.1 (_ bv0 128) sum.4)))
  (let ((sign.7 (ite taken.0 sign_a sign.5)))
  (let ((sum.8 (ite taken.0 (bvadd a b) sum.6)))
  sum.8))))))))))

(define-fun add_signed.safe ((rm Nat) (sign_a Nat) (a Nat) (sign_b Nat) (b Nat)) Bool
  (let ((taken.0 (= sign_a sign_b)))
  (let ((taken.1 (= a b)))
  (let ((taken.2 (bvult a b)))
  (let ((sign.3 (ite taken.2 sign_b sign_a)))
  (let ((sum.4 (ite taken.2 (bvsub b a) (bvsub a b))))
  (let ((sign.5 (ite taken.1 (ite (= rm (_ bv2 128)) (_ bv1 128) (_ bv0 128)) sign.3)))
  (let ((sum.6 (ite taken.1 (_ bv0 128) sum.4)))
  (let ((sign.7 (ite taken.0 sign_a sign.5)))
  (let ((sum.8 (ite taken.0 (bvadd a b) sum.6)))
  (and true true
    (=> (and true taken.0) (bvuge (bvadd a b) a))
    (=> (and true (not taken.0) (not taken.1) taken.2) (bvuge b a))
    (=> (and true (not taken.0) (not taken.1) (not taken.2)) (bvuge a b)))))))))))))

(define-fun add_product.sign ((rm Nat) (sign_p Nat) (exp_p Nat) (product Nat) (sign_c Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((exp.0 (align.exp exp_p product exp_c addend)))
  (let ((p.1 (align.p exp_p product exp_c addend)))
  (let ((c.2 (align.c exp_p product exp_c addend)))
  (let ((sign.3 (add_signed.sign rm sign_p p.1 sign_c c.2)))
  (let ((sum.4 (add_signed.sum rm sign_p p.1 sign_c c.2)))
  sign.3))))))

(define-fun add_product.exp ((rm Nat) (sign_p Nat) (exp_p Nat) (product Nat) (sign_c Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((exp.0 (align.exp exp_p product exp_c addend)))
  (let ((p.1 (align.p exp_p product exp_c addend)))
  (let ((c.2 (align.c exp_p product exp_c addend)))
  (let ((sign.3 (add_signed.sign rm sign_p p.1 sign_c c.2)))
  (let ((sum.4 (add_signed.sum rm sign_p p.1 sign_c c.2)))
  exp.0))))))

(define-fun add_product.sum ((rm Nat) (sign_p Nat) (exp_p Nat) (product Nat) (sign_c Nat) (exp_c Nat) (addend Nat)) Nat
  (let ((exp.0 (align.exp exp_p product exp_c addend)))
  (let ((p.1 (align.p exp_p product exp_c addend)))
  (let ((c.2 (align.c exp_p product exp_c addend)))
  (let ((sign.3 (add_signed.sign rm sign_p p.1 sign_c c.2)))
  (let ((sum.4 (add_signed.sum rm sign_p p.1 sign_c c.2)))
  sum.4))))))

(define-fun add_product.safe ((rm Nat) (sign_p Nat) (exp_p Nat) (product Nat) (sign_c Nat) (exp_c Nat) (addend Nat)) Bool
  (let ((exp.0 (align.exp exp_p product exp_c addend)))
  (let ((p.1 (align.p exp_p product exp_c addend)))
  (let ((c.2 (align.c exp_p product exp_c addend)))
  (let ((sign.3 (add_signed.sign rm sign_p p.1 sign_c c.2)))
  (let ((sum.4 (add_signed.sum rm sign_p p.1 sign_c c.2)))
  (and true true
    (align.safe exp_p product exp_c addend)
    (add_signed.safe rm sign_p p.1 sign_c c.2))))))))

(define-fun fused.sign ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (multiply.sign a b man width)))
  (let ((exp.1 (multiply.exp a b man width)))
  (let ((product.2 (multiply.product a b man width)))
  (let ((sign.3 (unpack.sign c man width)))
  (let ((exp.4 (unpack.exp c man width)))
  (let ((sig.5 (unpack.sig c man width)))
  (let ((sign.6 (add_product.sign rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((exp.7 (add_product.exp rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((sum.8 (add_product.sum rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  sign.6))))))))))

(define-fun fused.exp ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (multiply.sign a b man width)))
  (let ((exp.1 (multiply.exp a b man width)))
  (let ((product.2 (multiply.product a b man width)))
  (let ((sign.3 (unpack.sign c man width)))
  (let ((exp.4 (unpack.exp c man width)))
  (let ((sig.5 (unpack.sig c man width)))
  (let ((sign.6 (add_product.sign rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((exp.7 (add_product.exp rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((sum.8 (add_product.sum rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  exp.7))))))))))

(define-fun fused.sum ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (multiply.sign a b man width)))
  (let ((exp.1 (multiply.exp a b man width)))
  (let ((product.2 (multiply.product a b man width)))
  (let ((sign.3 (unpack.sign c man width)))
  (let ((exp.4 (unpack.exp c man width)))
  (let ((sig.5 (unpack.sig c man width)))
  (let ((sign.6 (add_product.sign rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((exp.7 (add_product.exp rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((sum.8 (add_product.sum rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  sum.8))))))))))

(define-fun fused.safe ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (multiply.sign a b man width)))
  (let ((exp.1 (multiply.exp a b man width)))
  (let ((product.2 (multiply.product a b man width)))
  (let ((sign.3 (unpack.sign c man width)))
  (let ((exp.4 (unpack.exp c man width)))
  (let ((sig.5 (unpack.sig c man width)))
  (let ((sign.6 (add_product.sign rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((exp.7 (add_product.exp rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (let ((sum.8 (add_product.sum rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5)))
  (and true true
    (multiply.safe a b man width)
    (unpack.safe c man width)
    (add_product.safe rm sign.0 exp.1 product.2 sign.3 exp.4 sig.5))))))))))))

(define-fun round_shift ((sign Nat) (sig Nat) (count Nat) (rm Nat)) Nat
  (let ((down.0 (ite (bvult count (_ bv127 128)) count (_ bv127 128))))
  (let ((floor.1 (bvlshr sig down.0)))
  (let ((rest.2 (bvsub sig (bvshl floor.1 down.0))))
  (let ((twice.3 (bvshl rest.2 (_ bv1 128))))
  (let ((unit.4 (bvshl (_ bv1 128) down.0)))
  (let ((up.5 (or (or (or (and (= rm (_ bv0 128)) (or (bvult unit.4 twice.3) (and (= twice.3 unit.4) (= (bvand floor.1 (_ bv1 128)) (_ bv1 128))))) (and (= rm (_ bv4 128)) (or (bvult unit.4 twice.3) (= twice.3 unit.4)))) (and (and (= rm (_ bv2 128)) (= sign (_ bv1 128))) (not (= rest.2 (_ bv0 128))))) (and (and (= rm (_ bv3 128)) (not (= sign (_ bv1 128)))) (not (= rest.2 (_ bv0 128)))))))
  (bvadd floor.1 (ite up.5 (_ bv1 128) (_ bv0 128))))))))))

(define-fun round_shift.safe ((sign Nat) (sig Nat) (count Nat) (rm Nat)) Bool
  (let ((down.0 (ite (bvult count (_ bv127 128)) count (_ bv127 128))))
  (let ((floor.1 (bvlshr sig down.0)))
  (let ((rest.2 (bvsub sig (bvshl floor.1 down.0))))
  (let ((twice.3 (bvshl rest.2 (_ bv1 128))))
  (let ((unit.4 (bvshl (_ bv1 128) down.0)))
  (let ((up.5 (or (or (or (and (= rm (_ bv0 128)) (or (bvult unit.4 twice.3) (and (= twice.3 unit.4) (= (bvand floor.1 (_ bv1 128)) (_ bv1 128))))) (and (= rm (_ bv4 128)) (or (bvult unit.4 twice.3) (= twice.3 unit.4)))) (and (and (= rm (_ bv2 128)) (= sign (_ bv1 128))) (not (= rest.2 (_ bv0 128))))) (and (and (= rm (_ bv3 128)) (not (= sign (_ bv1 128)))) (not (= rest.2 (_ bv0 128)))))))
  (and true true
    (bvult down.0 (_ bv128 128))
    (and (bvult down.0 (_ bv128 128)) (= (bvlshr (bvshl floor.1 down.0) down.0) floor.1))
    (bvuge sig (bvshl floor.1 down.0))
    (and (bvult (_ bv1 128) (_ bv128 128)) (= (bvlshr (bvshl rest.2 (_ bv1 128)) (_ bv1 128)) rest.2))
    (and (bvult down.0 (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) down.0) down.0) (_ bv1 128)))
    (bvuge (bvadd floor.1 (ite up.5 (_ bv1 128) (_ bv0 128))) floor.1)))))))))

(define-fun round_pack ((sign Nat) (exp Nat) (sig Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((least.0 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((fit.1 (bvsub (bvsub (bvadd exp (bit_length sig)) man) (_ bv1 128))))
  (let ((lsb.2 (ite (bvult fit.1 least.0) least.0 fit.1)))
  (let ((taken.3 (bvult exp lsb.2)))
  (let ((rounded.4 (round_shift sign sig (bvsub lsb.2 exp) rm)))
  (let ((rounded.5 (ite taken.3 rounded.4 (bvshl sig (bvsub exp lsb.2)))))
  (let ((pattern.6 (infinity man width)))
  (let ((taken.7 (= rounded.5 (_ bv0 128))))
  (let ((bits.8 (ite taken.7 (_ bv0 128) (bvadd rounded.5 (bvshl (bvsub lsb.2 least.0) man)))))
  (let ((taken.9 (bvult bits.8 pattern.6)))
  (let ((stay.10 (or (or (= rm (_ bv1 128)) (and (= rm (_ bv2 128)) (not (= sign (_ bv1 128))))) (and (= rm (_ bv3 128)) (= sign (_ bv1 128))))))
  (let ((finite.11 (ite taken.9 bits.8 (bvsub pattern.6 (ite stay.10 (_ bv1 128) (_ bv0 128))))))
  (bvor finite.11 (bvshl sign (bvsub width (_ bv1 128)))))))))))))))))

(define-fun round_pack.safe ((sign Nat) (exp Nat) (sig Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((least.0 (bvsub (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)))
  (let ((fit.1 (bvsub (bvsub (bvadd exp (bit_length sig)) man) (_ bv1 128))))
  (let ((lsb.2 (ite (bvult fit.1 least.0) least.0 fit.1)))
  (let ((taken.3 (bvult exp lsb.2)))
  (let ((rounded.4 (round_shift sign sig (bvsub lsb.2 exp) rm)))
  (let ((rounded.5 (ite taken.3 rounded.4 (bvshl sig (bvsub exp lsb.2)))))
  (let ((pattern.6 (infinity man width)))
  (let ((taken.7 (= rounded.5 (_ bv0 128))))
  (let ((bits.8 (ite taken.7 (_ bv0 128) (bvadd rounded.5 (bvshl (bvsub lsb.2 least.0) man)))))
  (let ((taken.9 (bvult bits.8 pattern.6)))
  (let ((stay.10 (or (or (= rm (_ bv1 128)) (and (= rm (_ bv2 128)) (not (= sign (_ bv1 128))))) (and (= rm (_ bv3 128)) (= sign (_ bv1 128))))))
  (let ((finite.11 (ite taken.9 bits.8 (bvsub pattern.6 (ite stay.10 (_ bv1 128) (_ bv0 128))))))
  (and true true
    (bvuge width man)
    (bvuge (bvsub width man) (_ bv2 128))
    (and (bvult (bvsub (bvsub width man) (_ bv2 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128))) (bvsub (bvsub width man) (_ bv2 128))) (_ bv1 128)))
    (bvuge (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128))))
    (bvuge (bvsub (_ bv8194 128) (bvshl (_ bv1 128) (bvsub (bvsub width man) (_ bv2 128)))) man)
    (bvuge (bvadd exp (bit_length sig)) exp)
    (bvuge (bvadd exp (bit_length sig)) man)
    (bvuge (bvsub (bvadd exp (bit_length sig)) man) (_ bv1 128))
    (=> (and true taken.3) (bvuge lsb.2 exp))
    (=> (and true taken.3) (round_shift.safe sign sig (bvsub lsb.2 exp) rm))
    (=> (and true (not taken.3)) (bvuge exp lsb.2))
    (=> (and true (not taken.3)) (and (bvult (bvsub exp lsb.2) (_ bv128 128)) (= (bvlshr (bvshl sig (bvsub exp lsb.2)) (bvsub exp lsb.2)) sig)))
    (infinity.safe man width)
    (=> (and true (not taken.7)) (bvuge lsb.2 least.0))
    (=> (and true (not taken.7)) (and (bvult man (_ bv128 128)) (= (bvlshr (bvshl (bvsub lsb.2 least.0) man) man) (bvsub lsb.2 least.0))))
    (=> (and true (not taken.7)) (bvuge (bvadd rounded.5 (bvshl (bvsub lsb.2 least.0) man)) rounded.5))
    (=> (and true (not taken.9)) (bvuge pattern.6 (ite stay.10 (_ bv1 128) (_ bv0 128))))
    (bvuge width (_ bv1 128))
    (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl sign (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) sign))))))))))))))))

(define-fun fma_finite ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (fused.sign a b c rm man width)))
  (let ((exp.1 (fused.exp a b c rm man width)))
  (let ((sum.2 (fused.sum a b c rm man width)))
  (let ((packed.3 (round_pack sign.0 exp.1 sum.2 rm man width)))
  packed.3)))))

(define-fun fma_finite.safe ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (fused.sign a b c rm man width)))
  (let ((exp.1 (fused.exp a b c rm man width)))
  (let ((sum.2 (fused.sum a b c rm man width)))
  (let ((packed.3 (round_pack sign.0 exp.1 sum.2 rm man width)))
  (and true true
    (fused.safe a b c rm man width)
    (round_pack.safe sign.0 exp.1 sum.2 rm man width)))))))

(define-fun canonical_nan ((man Nat) (width Nat)) Nat
  (bvsub (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvshl (_ bv1 128) (bvsub man (_ bv1 128)))))

(define-fun canonical_nan.safe ((man Nat) (width Nat)) Bool
  (and true true
    (bvuge width (_ bv1 128))
    (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) (_ bv1 128)))
    (bvuge man (_ bv1 128))
    (and (bvult (bvsub man (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub man (_ bv1 128))) (bvsub man (_ bv1 128))) (_ bv1 128)))
    (bvuge (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvshl (_ bv1 128) (bvsub man (_ bv1 128))))))

(define-fun fma_special ((a Nat) (b Nat) (c Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((mag.3 (magnitude c width)))
  (let ((product_sign.4 (bvlshr (bvxor a b) (bvsub width (_ bv1 128)))))
  (let ((product_infinite.5 (or (= mag.1 pattern.0) (= mag.2 pattern.0))))
  (let ((taken.6 (or (or (or (or (bvult pattern.0 mag.1) (bvult pattern.0 mag.2)) (bvult pattern.0 mag.3)) (and product_infinite.5 (or (= mag.1 (_ bv0 128)) (= mag.2 (_ bv0 128))))) (and (and product_infinite.5 (= mag.3 pattern.0)) (not (= product_sign.4 (bvlshr c (bvsub width (_ bv1 128)))))))))
  (let ((pattern.7 (canonical_nan man width)))
  (let ((result.8 (ite taken.6 pattern.7 (ite product_infinite.5 (bvor pattern.0 (bvshl product_sign.4 (bvsub width (_ bv1 128)))) c))))
  result.8))))))))))

(define-fun fma_special.safe ((a Nat) (b Nat) (c Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((mag.3 (magnitude c width)))
  (let ((product_sign.4 (bvlshr (bvxor a b) (bvsub width (_ bv1 128)))))
  (let ((product_infinite.5 (or (= mag.1 pattern.0) (= mag.2 pattern.0))))
  (let ((taken.6 (or (or (or (or (bvult pattern.0 mag.1) (bvult pattern.0 mag.2)) (bvult pattern.0 mag.3)) (and product_infinite.5 (or (= mag.1 (_ bv0 128)) (= mag.2 (_ bv0 128))))) (and (and product_infinite.5 (= mag.3 pattern.0)) (not (= product_sign.4 (bvlshr c (bvsub width (_ bv1 128)))))))))
  (let ((pattern.7 (canonical_nan man width)))
  (let ((result.8 (ite taken.6 pattern.7 (ite product_infinite.5 (bvor pattern.0 (bvshl product_sign.4 (bvsub width (_ bv1 128)))) c))))
  (and true true
    (infinity.safe man width)
    (magnitude.safe a width)
    (magnitude.safe b width)
    (magnitude.safe c width)
    (bvuge width (_ bv1 128))
    (bvult (bvsub width (_ bv1 128)) (_ bv128 128))
    (bvuge width (_ bv1 128))
    (bvult (bvsub width (_ bv1 128)) (_ bv128 128))
    (=> (and true taken.6) (canonical_nan.safe man width))
    (=> (and true (not taken.6)) (bvuge width (_ bv1 128)))
    (=> (and true (not taken.6)) (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl product_sign.4 (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) product_sign.4))))))))))))))

(define-fun multiply_add ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((mag.3 (magnitude c width)))
  (let ((taken.4 (and (and (bvult mag.1 pattern.0) (bvult mag.2 pattern.0)) (bvult mag.3 pattern.0))))
  (let ((result.5 (fma_finite a b c rm man width)))
  (let ((result.6 (fma_special a b c man width)))
  (let ((result.7 (ite taken.4 result.5 result.6)))
  result.7)))))))))

(define-fun multiply_add.safe ((a Nat) (b Nat) (c Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((mag.3 (magnitude c width)))
  (let ((taken.4 (and (and (bvult mag.1 pattern.0) (bvult mag.2 pattern.0)) (bvult mag.3 pattern.0))))
  (let ((result.5 (fma_finite a b c rm man width)))
  (let ((result.6 (fma_special a b c man width)))
  (let ((result.7 (ite taken.4 result.5 result.6)))
  (and true true
    (infinity.safe man width)
    (magnitude.safe a width)
    (magnitude.safe b width)
    (magnitude.safe c width)
    (=> (and true taken.4) (fma_finite.safe a b c rm man width))
    (=> (and true (not taken.4)) (fma_special.safe a b c man width))))))))))))

(define-fun f32.add ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a (_ bv1065353216 128) b rm (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.add.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a (_ bv1065353216 128) b rm (_ bv23 128) (_ bv32 128))))
  (and true true
    (multiply_add.safe a (_ bv1065353216 128) b rm (_ bv23 128) (_ bv32 128)))))

(define-fun f32.mul ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a b (bvand (bvxor a b) (_ bv2147483648 128)) rm (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.mul.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a b (bvand (bvxor a b) (_ bv2147483648 128)) rm (_ bv23 128) (_ bv32 128))))
  (and true true
    (multiply_add.safe a b (bvand (bvxor a b) (_ bv2147483648 128)) rm (_ bv23 128) (_ bv32 128)))))

(define-fun divide_jam ((sig_a Nat) (sig_b Nat) (man Nat)) Nat
  (let ((dividend.0 (bvshl sig_a (bvadd man (_ bv4 128)))))
  (let ((quotient.1 (bvudiv dividend.0 sig_b)))
  (let ((exact.2 (= (bvmul quotient.1 sig_b) dividend.0)))
  (bvor quotient.1 (ite (not exact.2) (_ bv1 128) (_ bv0 128)))))))

(define-fun divide_jam.safe ((sig_a Nat) (sig_b Nat) (man Nat)) Bool
  (let ((dividend.0 (bvshl sig_a (bvadd man (_ bv4 128)))))
  (let ((quotient.1 (bvudiv dividend.0 sig_b)))
  (let ((exact.2 (= (bvmul quotient.1 sig_b) dividend.0)))
  (and true true
    (bvuge (bvadd man (_ bv4 128)) man)
    (and (bvult (bvadd man (_ bv4 128)) (_ bv128 128)) (= (bvlshr (bvshl sig_a (bvadd man (_ bv4 128))) (bvadd man (_ bv4 128))) sig_a))
    (distinct sig_b (_ bv0 128))
    (not (bvumulo quotient.1 sig_b)))))))

(define-fun divide_finite ((a Nat) (b Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (let ((jammed.6 (divide_jam sig.2 sig.5 man)))
  (let ((packed.7 (round_pack (bvxor sign.0 sign.3) (bvsub (bvsub (bvsub (bvadd exp.1 (_ bv8192 128)) exp.4) man) (_ bv4 128)) jammed.6 rm man width)))
  packed.7)))))))))

(define-fun divide_finite.safe ((a Nat) (b Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((sign.3 (unpack.sign b man width)))
  (let ((exp.4 (unpack.exp b man width)))
  (let ((sig.5 (unpack.sig b man width)))
  (let ((jammed.6 (divide_jam sig.2 sig.5 man)))
  (let ((packed.7 (round_pack (bvxor sign.0 sign.3) (bvsub (bvsub (bvsub (bvadd exp.1 (_ bv8192 128)) exp.4) man) (_ bv4 128)) jammed.6 rm man width)))
  (and true true
    (unpack.safe a man width)
    (unpack.safe b man width)
    (divide_jam.safe sig.2 sig.5 man)
    (bvuge (bvadd exp.1 (_ bv8192 128)) exp.1)
    (bvuge (bvadd exp.1 (_ bv8192 128)) exp.4)
    (bvuge (bvsub (bvadd exp.1 (_ bv8192 128)) exp.4) man)
    (bvuge (bvsub (bvsub (bvadd exp.1 (_ bv8192 128)) exp.4) man) (_ bv4 128))
    (round_pack.safe (bvxor sign.0 sign.3) (bvsub (bvsub (bvsub (bvadd exp.1 (_ bv8192 128)) exp.4) man) (_ bv4 128)) jammed.6 rm man width)))))))))))

(define-fun divide_special ((a Nat) (b Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((taken.3 (or (or (or (bvult pattern.0 mag.1) (bvult pattern.0 mag.2)) (and (= mag.1 pattern.0) (= mag.2 pattern.0))) (and (= mag.1 (_ bv0 128)) (= mag.2 (_ bv0 128))))))
  (let ((pattern.4 (canonical_nan man width)))
  (let ((sign.5 (bvlshr (bvxor a b) (bvsub width (_ bv1 128)))))
  (let ((result.6 (ite taken.3 pattern.4 (bvor (ite (or (= mag.1 pattern.0) (= mag.2 (_ bv0 128))) pattern.0 (_ bv0 128)) (bvshl sign.5 (bvsub width (_ bv1 128)))))))
  result.6))))))))

(define-fun divide_special.safe ((a Nat) (b Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((taken.3 (or (or (or (bvult pattern.0 mag.1) (bvult pattern.0 mag.2)) (and (= mag.1 pattern.0) (= mag.2 pattern.0))) (and (= mag.1 (_ bv0 128)) (= mag.2 (_ bv0 128))))))
  (let ((pattern.4 (canonical_nan man width)))
  (let ((sign.5 (bvlshr (bvxor a b) (bvsub width (_ bv1 128)))))
  (let ((result.6 (ite taken.3 pattern.4 (bvor (ite (or (= mag.1 pattern.0) (= mag.2 (_ bv0 128))) pattern.0 (_ bv0 128)) (bvshl sign.5 (bvsub width (_ bv1 128)))))))
  (and true true
    (infinity.safe man width)
    (magnitude.safe a width)
    (magnitude.safe b width)
    (=> (and true taken.3) (canonical_nan.safe man width))
    (=> (and true (not taken.3)) (bvuge width (_ bv1 128)))
    (=> (and true (not taken.3)) (bvult (bvsub width (_ bv1 128)) (_ bv128 128)))
    (=> (and true (not taken.3)) (bvuge width (_ bv1 128)))
    (=> (and true (not taken.3)) (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl sign.5 (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) sign.5))))))))))))

(define-fun divide ((a Nat) (b Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((taken.3 (and (and (and (bvult mag.1 pattern.0) (bvult mag.2 pattern.0)) (not (= mag.1 (_ bv0 128)))) (not (= mag.2 (_ bv0 128))))))
  (let ((result.4 (divide_finite a b rm man width)))
  (let ((result.5 (divide_special a b man width)))
  (let ((result.6 (ite taken.3 result.4 result.5)))
  result.6))))))))

(define-fun divide.safe ((a Nat) (b Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((mag.2 (magnitude b width)))
  (let ((taken.3 (and (and (and (bvult mag.1 pattern.0) (bvult mag.2 pattern.0)) (not (= mag.1 (_ bv0 128)))) (not (= mag.2 (_ bv0 128))))))
  (let ((result.4 (divide_finite a b rm man width)))
  (let ((result.5 (divide_special a b man width)))
  (let ((result.6 (ite taken.3 result.4 result.5)))
  (and true true
    (infinity.safe man width)
    (magnitude.safe a width)
    (magnitude.safe b width)
    (=> (and true taken.3) (divide_finite.safe a b rm man width))
    (=> (and true (not taken.3)) (divide_special.safe a b man width)))))))))))

(define-fun f32.div ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (divide a b rm (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.div.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (divide a b rm (_ bv23 128) (_ bv32 128))))
  (and true true
    (divide.safe a b rm (_ bv23 128) (_ bv32 128)))))

(define-fun newton ((x Nat) (estimate Nat)) Nat
  (bvlshr (bvadd estimate (bvudiv x estimate)) (_ bv1 128)))

(define-fun newton.safe ((x Nat) (estimate Nat)) Bool
  (and true true
    (distinct estimate (_ bv0 128))
    (bvuge (bvadd estimate (bvudiv x estimate)) estimate)
    (bvult (_ bv1 128) (_ bv128 128))))

(define-fun integer_sqrt ((x Nat)) Nat
  (let ((next.0 (newton x (_ bv36028797018963968 128))))
  (let ((next.1 (newton x next.0)))
  (let ((next.2 (newton x next.1)))
  (let ((next.3 (newton x next.2)))
  (let ((next.4 (newton x next.3)))
  (let ((next.5 (newton x next.4)))
  (let ((next.6 (newton x next.5)))
  (bvsub next.6 (ite (bvult x (bvmul next.6 next.6)) (_ bv1 128) (_ bv0 128)))))))))))

(define-fun integer_sqrt.safe ((x Nat)) Bool
  (let ((next.0 (newton x (_ bv36028797018963968 128))))
  (let ((next.1 (newton x next.0)))
  (let ((next.2 (newton x next.1)))
  (let ((next.3 (newton x next.2)))
  (let ((next.4 (newton x next.3)))
  (let ((next.5 (newton x next.4)))
  (let ((next.6 (newton x next.5)))
  (and true true
    (newton.safe x (_ bv36028797018963968 128))
    (newton.safe x next.0)
    (newton.safe x next.1)
    (newton.safe x next.2)
    (newton.safe x next.3)
    (newton.safe x next.4)
    (newton.safe x next.5)
    (not (bvumulo next.6 next.6))
    (bvuge next.6 (ite (bvult x (bvmul next.6 next.6)) (_ bv1 128) (_ bv0 128))))))))))))

(define-fun square_root_finite ((a Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((up.3 (bvadd (bvsub (_ bv108 128) man) (bvand (bvadd exp.1 man) (_ bv1 128)))))
  (let ((radicand.4 (bvshl sig.2 up.3)))
  (let ((root.5 (integer_sqrt radicand.4)))
  (let ((jammed.6 (bvor root.5 (ite (not (= (bvmul root.5 root.5) radicand.4)) (_ bv1 128) (_ bv0 128)))))
  (let ((packed.7 (round_pack (_ bv0 128) (bvlshr (bvsub (bvadd exp.1 (_ bv8192 128)) up.3) (_ bv1 128)) jammed.6 rm man width)))
  packed.7)))))))))

(define-fun square_root_finite.safe ((a Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (unpack.sign a man width)))
  (let ((exp.1 (unpack.exp a man width)))
  (let ((sig.2 (unpack.sig a man width)))
  (let ((up.3 (bvadd (bvsub (_ bv108 128) man) (bvand (bvadd exp.1 man) (_ bv1 128)))))
  (let ((radicand.4 (bvshl sig.2 up.3)))
  (let ((root.5 (integer_sqrt radicand.4)))
  (let ((jammed.6 (bvor root.5 (ite (not (= (bvmul root.5 root.5) radicand.4)) (_ bv1 128) (_ bv0 128)))))
  (let ((packed.7 (round_pack (_ bv0 128) (bvlshr (bvsub (bvadd exp.1 (_ bv8192 128)) up.3) (_ bv1 128)) jammed.6 rm man width)))
  (and true true
    (unpack.safe a man width)
    (bvuge (_ bv108 128) man)
    (bvuge (bvadd exp.1 man) exp.1)
    (bvuge (bvadd (bvsub (_ bv108 128) man) (bvand (bvadd exp.1 man) (_ bv1 128))) (bvsub (_ bv108 128) man))
    (and (bvult up.3 (_ bv128 128)) (= (bvlshr (bvshl sig.2 up.3) up.3) sig.2))
    (integer_sqrt.safe radicand.4)
    (not (bvumulo root.5 root.5))
    (bvuge (bvadd exp.1 (_ bv8192 128)) exp.1)
    (bvuge (bvadd exp.1 (_ bv8192 128)) up.3)
    (bvult (_ bv1 128) (_ bv128 128))
    (round_pack.safe (_ bv0 128) (bvlshr (bvsub (bvadd exp.1 (_ bv8192 128)) up.3) (_ bv1 128)) jammed.6 rm man width)))))))))))

(define-fun square_root ((a Nat) (rm Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((taken.2 (or (= mag.1 (_ bv0 128)) (= a pattern.0))))
  (let ((taken.3 (bvult a pattern.0)))
  (let ((result.4 (square_root_finite a rm man width)))
  (let ((pattern.5 (canonical_nan man width)))
  (let ((result.6 (ite taken.3 result.4 pattern.5)))
  (let ((result.7 (ite taken.2 a result.6)))
  result.7)))))))))

(define-fun square_root.safe ((a Nat) (rm Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude a width)))
  (let ((taken.2 (or (= mag.1 (_ bv0 128)) (= a pattern.0))))
  (let ((taken.3 (bvult a pattern.0)))
  (let ((result.4 (square_root_finite a rm man width)))
  (let ((pattern.5 (canonical_nan man width)))
  (let ((result.6 (ite taken.3 result.4 pattern.5)))
  (let ((result.7 (ite taken.2 a result.6)))
  (and true true
    (infinity.safe man width)
    (magnitude.safe a width)
    (=> (and true (not taken.2) taken.3) (square_root_finite.safe a rm man width))
    (=> (and true (not taken.2) (not taken.3)) (canonical_nan.safe man width))))))))))))

(define-fun f32.sqrt ((a Nat) (rm Nat)) Nat
  (let ((result.0 (square_root a rm (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.sqrt.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (square_root a rm (_ bv23 128) (_ bv32 128))))
  (and true true
    (square_root.safe a rm (_ bv23 128) (_ bv32 128)))))

(define-fun f32.fma ((a Nat) (b Nat) (c Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a b c rm (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.fma.safe ((a Nat) (b Nat) (c Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a b c rm (_ bv23 128) (_ bv32 128))))
  (and true true
    (multiply_add.safe a b c rm (_ bv23 128) (_ bv32 128)))))

(define-fun is_nan ((x Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (ite (bvult pattern.0 mag.1) (_ bv1 128) (_ bv0 128)))))

(define-fun is_nan.safe ((x Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (and true true
    (infinity.safe man width)
    (magnitude.safe x width)))))

(define-fun order ((x Nat) (width Nat)) Nat
  (let ((sign_bit.0 (bvshl (_ bv1 128) (bvsub width (_ bv1 128)))))
  (ite (bvult x sign_bit.0) (bvadd x sign_bit.0) (bvsub (bvsub (bvadd sign_bit.0 sign_bit.0) (_ bv1 128)) x))))

(define-fun order.safe ((x Nat) (width Nat)) Bool
  (let ((sign_bit.0 (bvshl (_ bv1 128) (bvsub width (_ bv1 128)))))
  (and true true
    (bvuge width (_ bv1 128))
    (and (bvult (bvsub width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub width (_ bv1 128))) (bvsub width (_ bv1 128))) (_ bv1 128)))
    (bvuge (bvadd x sign_bit.0) x)
    (bvuge (bvadd sign_bit.0 sign_bit.0) sign_bit.0)
    (bvuge (bvadd sign_bit.0 sign_bit.0) (_ bv1 128))
    (bvuge (bvsub (bvadd sign_bit.0 sign_bit.0) (_ bv1 128)) x))))

(define-fun min_max ((a Nat) (b Nat) (larger Nat) (man Nat) (width Nat)) Nat
  (let ((nan.0 (is_nan a man width)))
  (let ((nan.1 (is_nan b man width)))
  (let ((taken.2 (= (bvand nan.0 nan.1) (_ bv1 128))))
  (let ((pattern.3 (canonical_nan man width)))
  (let ((rank.4 (order a width)))
  (let ((rank.5 (order b width)))
  (let ((first.6 (ite (bvult rank.4 rank.5) (bvsub (_ bv1 128) larger) larger)))
  (let ((result.7 (ite taken.2 pattern.3 (ite (or (= nan.1 (_ bv1 128)) (and (= nan.0 (_ bv0 128)) (= first.6 (_ bv1 128)))) a b))))
  result.7)))))))))

(define-fun min_max.safe ((a Nat) (b Nat) (larger Nat) (man Nat) (width Nat)) Bool
  (let ((nan.0 (is_nan a man width)))
  (let ((nan.1 (is_nan b man width)))
  (let ((taken.2 (= (bvand nan.0 nan.1) (_ bv1 128))))
  (let ((pattern.3 (canonical_nan man width)))
  (let ((rank.4 (order a width)))
  (let ((rank.5 (order b width)))
  (let ((first.6 (ite (bvult rank.4 rank.5) (bvsub (_ bv1 128) larger) larger)))
  (let ((result.7 (ite taken.2 pattern.3 (ite (or (= nan.1 (_ bv1 128)) (and (= nan.0 (_ bv0 128)) (= first.6 (_ bv1 128)))) a b))))
  (and true true
    (is_nan.safe a man width)
    (is_nan.safe b man width)
    (=> (and true taken.2) (canonical_nan.safe man width))
    (=> (and true (not taken.2)) (order.safe a width))
    (=> (and true (not taken.2)) (order.safe b width))
    (=> (and true (not taken.2)) (bvuge (_ bv1 128) larger))))))))))))

(define-fun f32.min ((a Nat) (b Nat)) Nat
  (let ((result.0 (min_max a b (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.min.safe ((a Nat) (b Nat)) Bool
  (let ((result.0 (min_max a b (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (min_max.safe a b (_ bv0 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.max ((a Nat) (b Nat)) Nat
  (let ((result.0 (min_max a b (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.max.safe ((a Nat) (b Nat)) Bool
  (let ((result.0 (min_max a b (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (min_max.safe a b (_ bv1 128) (_ bv23 128) (_ bv32 128)))))

(define-fun compare_equal ((a Nat) (b Nat) (man Nat) (width Nat)) Nat
  (let ((nan.0 (is_nan a man width)))
  (let ((mag.1 (magnitude (bvor a b) width)))
  (ite (or (and (= a b) (= nan.0 (_ bv0 128))) (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)))))

(define-fun compare_equal.safe ((a Nat) (b Nat) (man Nat) (width Nat)) Bool
  (let ((nan.0 (is_nan a man width)))
  (let ((mag.1 (magnitude (bvor a b) width)))
  (and true true
    (is_nan.safe a man width)
    (magnitude.safe (bvor a b) width)))))

(define-fun f32.equal ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_equal a b (_ bv23 128) (_ bv32 128))))
  holds.0))

(define-fun f32.equal.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_equal a b (_ bv23 128) (_ bv32 128))))
  (and true true
    (compare_equal.safe a b (_ bv23 128) (_ bv32 128)))))

(define-fun compare_less ((a Nat) (b Nat) (or_equal Nat) (man Nat) (width Nat)) Nat
  (let ((nan.0 (is_nan a man width)))
  (let ((nan.1 (is_nan b man width)))
  (let ((holds.2 (compare_equal a b man width)))
  (let ((rank.3 (order a width)))
  (let ((rank.4 (order b width)))
  (ite (and (= (bvor nan.0 nan.1) (_ bv0 128)) (= (ite (= holds.2 (_ bv1 128)) or_equal (ite (bvult rank.3 rank.4) (_ bv1 128) (_ bv0 128))) (_ bv1 128))) (_ bv1 128) (_ bv0 128))))))))

(define-fun compare_less.safe ((a Nat) (b Nat) (or_equal Nat) (man Nat) (width Nat)) Bool
  (let ((nan.0 (is_nan a man width)))
  (let ((nan.1 (is_nan b man width)))
  (let ((holds.2 (compare_equal a b man width)))
  (let ((rank.3 (order a width)))
  (let ((rank.4 (order b width)))
  (and true true
    (is_nan.safe a man width)
    (is_nan.safe b man width)
    (compare_equal.safe a b man width)
    (order.safe a width)
    (order.safe b width))))))))

(define-fun f32.less ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_less a b (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  holds.0))

(define-fun f32.less.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_less a b (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (compare_less.safe a b (_ bv0 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.less_equal ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_less a b (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  holds.0))

(define-fun f32.less_equal.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_less a b (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (compare_less.safe a b (_ bv1 128) (_ bv23 128) (_ bv32 128)))))

(define-fun classify ((x Nat) (man Nat) (width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (let ((taken.2 (bvult pattern.0 mag.1)))
  (let ((distance.3 (bvadd (bvadd (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)) (ite (not (bvult mag.1 (bvshl (_ bv1 128) man))) (_ bv1 128) (_ bv0 128))) (ite (= mag.1 pattern.0) (_ bv1 128) (_ bv0 128)))))
  (let ((mask.4 (ite taken.2 (bvshl (_ bv256 128) (bvand (bvlshr mag.1 (bvsub man (_ bv1 128))) (_ bv1 128))) (bvshl (_ bv1 128) (ite (= x mag.1) (bvadd (_ bv4 128) distance.3) (bvsub (_ bv3 128) distance.3))))))
  mask.4))))))

(define-fun classify.safe ((x Nat) (man Nat) (width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (let ((taken.2 (bvult pattern.0 mag.1)))
  (let ((distance.3 (bvadd (bvadd (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)) (ite (not (bvult mag.1 (bvshl (_ bv1 128) man))) (_ bv1 128) (_ bv0 128))) (ite (= mag.1 pattern.0) (_ bv1 128) (_ bv0 128)))))
  (let ((mask.4 (ite taken.2 (bvshl (_ bv256 128) (bvand (bvlshr mag.1 (bvsub man (_ bv1 128))) (_ bv1 128))) (bvshl (_ bv1 128) (ite (= x mag.1) (bvadd (_ bv4 128) distance.3) (bvsub (_ bv3 128) distance.3))))))
  (and true true
    (infinity.safe man width)
    (magnitude.safe x width)
    (=> (and true taken.2) (bvuge man (_ bv1 128)))
    (=> (and true taken.2) (bvult (bvsub man (_ bv1 128)) (_ bv128 128)))
    (=> (and true taken.2) (and (bvult (bvand (bvlshr mag.1 (bvsub man (_ bv1 128))) (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv256 128) (bvand (bvlshr mag.1 (bvsub man (_ bv1 128))) (_ bv1 128))) (bvand (bvlshr mag.1 (bvsub man (_ bv1 128))) (_ bv1 128))) (_ bv256 128))))
    (=> (and true (not taken.2)) (and (bvult man (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) man) man) (_ bv1 128))))
    (=> (and true (not taken.2)) (bvuge (bvadd (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)) (ite (not (bvult mag.1 (bvshl (_ bv1 128) man))) (_ bv1 128) (_ bv0 128))) (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128))))
    (=> (and true (not taken.2)) (bvuge (bvadd (bvadd (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)) (ite (not (bvult mag.1 (bvshl (_ bv1 128) man))) (_ bv1 128) (_ bv0 128))) (ite (= mag.1 pattern.0) (_ bv1 128) (_ bv0 128))) (bvadd (ite (not (= mag.1 (_ bv0 128))) (_ bv1 128) (_ bv0 128)) (ite (not (bvult mag.1 (bvshl (_ bv1 128) man))) (_ bv1 128) (_ bv0 128)))))
    (=> (and true (not taken.2)) (bvuge (bvadd (_ bv4 128) distance.3) (_ bv4 128)))
    (=> (and true (not taken.2)) (bvuge (_ bv3 128) distance.3))
    (=> (and true (not taken.2)) (and (bvult (ite (= x mag.1) (bvadd (_ bv4 128) distance.3) (bvsub (_ bv3 128) distance.3)) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (ite (= x mag.1) (bvadd (_ bv4 128) distance.3) (bvsub (_ bv3 128) distance.3))) (ite (= x mag.1) (bvadd (_ bv4 128) distance.3) (bvsub (_ bv3 128) distance.3))) (_ bv1 128)))))))))))

(define-fun f32.class ((a Nat)) Nat
  (let ((mask.0 (classify a (_ bv23 128) (_ bv32 128))))
  mask.0))

(define-fun f32.class.safe ((a Nat)) Bool
  (let ((mask.0 (classify a (_ bv23 128) (_ bv32 128))))
  (and true true
    (classify.safe a (_ bv23 128) (_ bv32 128)))))

(define-fun f32.negate ((a Nat)) Nat
  (bvxor a (_ bv2147483648 128)))

(define-fun f32.negate.safe ((a Nat)) Bool
  (and true true))

(define-fun f32.copy_sign ((a Nat) (b Nat)) Nat
  (bvor (bvand a (_ bv2147483647 128)) (bvand b (_ bv2147483648 128))))

(define-fun f32.copy_sign.safe ((a Nat) (b Nat)) Bool
  (and true true))

(define-fun convert ((x Nat) (rm Nat) (man Nat) (width Nat) (to_man Nat) (to_width Nat)) Nat
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (let ((taken.2 (bvult mag.1 pattern.0)))
  (let ((sign.3 (unpack.sign x man width)))
  (let ((exp.4 (unpack.exp x man width)))
  (let ((sig.5 (unpack.sig x man width)))
  (let ((packed.6 (round_pack sign.3 exp.4 sig.5 rm to_man to_width)))
  (let ((taken.7 (= mag.1 pattern.0)))
  (let ((pattern.8 (infinity to_man to_width)))
  (let ((pattern.9 (canonical_nan to_man to_width)))
  (let ((result.10 (ite taken.7 (bvor pattern.8 (bvshl (bvlshr x (bvsub width (_ bv1 128))) (bvsub to_width (_ bv1 128)))) pattern.9)))
  (let ((result.11 (ite taken.2 packed.6 result.10)))
  result.11)))))))))))))

(define-fun convert.safe ((x Nat) (rm Nat) (man Nat) (width Nat) (to_man Nat) (to_width Nat)) Bool
  (let ((pattern.0 (infinity man width)))
  (let ((mag.1 (magnitude x width)))
  (let ((taken.2 (bvult mag.1 pattern.0)))
  (let ((sign.3 (unpack.sign x man width)))
  (let ((exp.4 (unpack.exp x man width)))
  (let ((sig.5 (unpack.sig x man width)))
  (let ((packed.6 (round_pack sign.3 exp.4 sig.5 rm to_man to_width)))
  (let ((taken.7 (= mag.1 pattern.0)))
  (let ((pattern.8 (infinity to_man to_width)))
  (let ((pattern.9 (canonical_nan to_man to_width)))
  (let ((result.10 (ite taken.7 (bvor pattern.8 (bvshl (bvlshr x (bvsub width (_ bv1 128))) (bvsub to_width (_ bv1 128)))) pattern.9)))
  (let ((result.11 (ite taken.2 packed.6 result.10)))
  (and true true
    (infinity.safe man width)
    (magnitude.safe x width)
    (=> (and true taken.2) (unpack.safe x man width))
    (=> (and true taken.2) (round_pack.safe sign.3 exp.4 sig.5 rm to_man to_width))
    (=> (and true (not taken.2) taken.7) (infinity.safe to_man to_width))
    (=> (and true (not taken.2) taken.7) (bvuge width (_ bv1 128)))
    (=> (and true (not taken.2) taken.7) (bvult (bvsub width (_ bv1 128)) (_ bv128 128)))
    (=> (and true (not taken.2) taken.7) (bvuge to_width (_ bv1 128)))
    (=> (and true (not taken.2) taken.7) (and (bvult (bvsub to_width (_ bv1 128)) (_ bv128 128)) (= (bvlshr (bvshl (bvlshr x (bvsub width (_ bv1 128))) (bvsub to_width (_ bv1 128))) (bvsub to_width (_ bv1 128))) (bvlshr x (bvsub width (_ bv1 128))))))
    (=> (and true (not taken.2) (not taken.7)) (canonical_nan.safe to_man to_width))))))))))))))))

(define-fun f32.to_f64 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (convert a rm (_ bv23 128) (_ bv32 128) (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f32.to_f64.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (convert a rm (_ bv23 128) (_ bv32 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (convert.safe a rm (_ bv23 128) (_ bv32 128) (_ bv52 128) (_ bv64 128)))))

(define-fun integer_limit ((sign Nat) (bits Nat) (signed Nat)) Nat
  (let ((range.0 (bvshl (_ bv1 128) (bvsub bits signed))))
  (ite (= sign (_ bv1 128)) (ite (= signed (_ bv1 128)) range.0 (_ bv0 128)) (bvsub range.0 (_ bv1 128)))))

(define-fun integer_limit.safe ((sign Nat) (bits Nat) (signed Nat)) Bool
  (let ((range.0 (bvshl (_ bv1 128) (bvsub bits signed))))
  (and true true
    (bvuge bits signed)
    (and (bvult (bvsub bits signed) (_ bv128 128)) (= (bvlshr (bvshl (_ bv1 128) (bvsub bits signed)) (bvsub bits signed)) (_ bv1 128)))
    (bvuge range.0 (_ bv1 128)))))

(define-fun to_integer ((x Nat) (rm Nat) (bits Nat) (signed Nat) (man Nat) (width Nat)) Nat
  (let ((nan.0 (is_nan x man width)))
  (let ((sign.1 (unpack.sign x man width)))
  (let ((exp.2 (unpack.exp x man width)))
  (let ((sig.3 (unpack.sig x man width)))
  (let ((sign.4 (bvand sign.1 (bvsub (_ bv1 128) nan.0))))
  (let ((taken.5 (bvult exp.2 (_ bv8192 128))))
  (let ((rounded.6 (round_shift sign.4 sig.3 (bvsub (_ bv8192 128) exp.2) rm)))
  (let ((whole.7 (ite taken.5 rounded.6 (bvshl sig.3 (ite (bvult (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (bvsub exp.2 (_ bv8192 128)) (_ bv66 128))))))
  (let ((limit.8 (integer_limit sign.4 bits signed)))
  (let ((saturated.9 (ite (bvult whole.7 limit.8) whole.7 limit.8)))
  (ite (and (= sign.4 (_ bv1 128)) (not (= saturated.9 (_ bv0 128)))) (bvsub (_ bv18446744073709551616 128) saturated.9) saturated.9))))))))))))

(define-fun to_integer.safe ((x Nat) (rm Nat) (bits Nat) (signed Nat) (man Nat) (width Nat)) Bool
  (let ((nan.0 (is_nan x man width)))
  (let ((sign.1 (unpack.sign x man width)))
  (let ((exp.2 (unpack.exp x man width)))
  (let ((sig.3 (unpack.sig x man width)))
  (let ((sign.4 (bvand sign.1 (bvsub (_ bv1 128) nan.0))))
  (let ((taken.5 (bvult exp.2 (_ bv8192 128))))
  (let ((rounded.6 (round_shift sign.4 sig.3 (bvsub (_ bv8192 128) exp.2) rm)))
  (let ((whole.7 (ite taken.5 rounded.6 (bvshl sig.3 (ite (bvult (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (bvsub exp.2 (_ bv8192 128)) (_ bv66 128))))))
  (let ((limit.8 (integer_limit sign.4 bits signed)))
  (let ((saturated.9 (ite (bvult whole.7 limit.8) whole.7 limit.8)))
  (and true true
    (is_nan.safe x man width)
    (unpack.safe x man width)
    (bvuge (_ bv1 128) nan.0)
    (=> (and true taken.5) (bvuge (_ bv8192 128) exp.2))
    (=> (and true taken.5) (round_shift.safe sign.4 sig.3 (bvsub (_ bv8192 128) exp.2) rm))
    (=> (and true (not taken.5)) (bvuge exp.2 (_ bv8192 128)))
    (=> (and true (not taken.5)) (and (bvult (ite (bvult (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (_ bv128 128)) (= (bvlshr (bvshl sig.3 (ite (bvult (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (bvsub exp.2 (_ bv8192 128)) (_ bv66 128))) (ite (bvult (bvsub exp.2 (_ bv8192 128)) (_ bv66 128)) (bvsub exp.2 (_ bv8192 128)) (_ bv66 128))) sig.3)))
    (integer_limit.safe sign.4 bits signed)
    (bvuge (_ bv18446744073709551616 128) saturated.9)))))))))))))

(define-fun f32.to_i32 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  ((_ zero_extend 64) ((_ sign_extend 32) ((_ extract 31 0) ((_ extract 63 0) integer.0))))))

(define-fun f32.to_i32.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (to_integer.safe a rm (_ bv32 128) (_ bv1 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.to_u32 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  ((_ zero_extend 64) ((_ sign_extend 32) ((_ extract 31 0) ((_ extract 63 0) integer.0))))))

(define-fun f32.to_u32.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (to_integer.safe a rm (_ bv32 128) (_ bv0 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.to_i64 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  ((_ zero_extend 64) ((_ extract 63 0) integer.0))))

(define-fun f32.to_i64.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (to_integer.safe a rm (_ bv64 128) (_ bv1 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.to_u64 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  ((_ zero_extend 64) ((_ extract 63 0) integer.0))))

(define-fun f32.to_u64.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (to_integer.safe a rm (_ bv64 128) (_ bv0 128) (_ bv23 128) (_ bv32 128)))))

(define-fun from_integer ((x Nat) (rm Nat) (signed Nat) (man Nat) (width Nat)) Nat
  (let ((sign.0 (bvand (bvlshr x (_ bv63 128)) signed)))
  (let ((sig.1 (ite (= sign.0 (_ bv1 128)) (bvsub (_ bv18446744073709551616 128) x) x)))
  (let ((packed.2 (round_pack sign.0 (_ bv8192 128) sig.1 rm man width)))
  packed.2))))

(define-fun from_integer.safe ((x Nat) (rm Nat) (signed Nat) (man Nat) (width Nat)) Bool
  (let ((sign.0 (bvand (bvlshr x (_ bv63 128)) signed)))
  (let ((sig.1 (ite (= sign.0 (_ bv1 128)) (bvsub (_ bv18446744073709551616 128) x) x)))
  (let ((packed.2 (round_pack sign.0 (_ bv8192 128) sig.1 rm man width)))
  (and true true
    (bvult (_ bv63 128) (_ bv128 128))
    (bvuge (_ bv18446744073709551616 128) x)
    (round_pack.safe sign.0 (_ bv8192 128) sig.1 rm man width))))))

(define-fun f32.from_i64 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.from_i64.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (from_integer.safe ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f32.from_u64 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f32.from_u64.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (from_integer.safe ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f64.add ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a (_ bv4607182418800017408 128) b rm (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.add.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a (_ bv4607182418800017408 128) b rm (_ bv52 128) (_ bv64 128))))
  (and true true
    (multiply_add.safe a (_ bv4607182418800017408 128) b rm (_ bv52 128) (_ bv64 128)))))

(define-fun f64.mul ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a b (bvand (bvxor a b) (_ bv9223372036854775808 128)) rm (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.mul.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a b (bvand (bvxor a b) (_ bv9223372036854775808 128)) rm (_ bv52 128) (_ bv64 128))))
  (and true true
    (multiply_add.safe a b (bvand (bvxor a b) (_ bv9223372036854775808 128)) rm (_ bv52 128) (_ bv64 128)))))

(define-fun f64.div ((a Nat) (b Nat) (rm Nat)) Nat
  (let ((result.0 (divide a b rm (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.div.safe ((a Nat) (b Nat) (rm Nat)) Bool
  (let ((result.0 (divide a b rm (_ bv52 128) (_ bv64 128))))
  (and true true
    (divide.safe a b rm (_ bv52 128) (_ bv64 128)))))

(define-fun f64.sqrt ((a Nat) (rm Nat)) Nat
  (let ((result.0 (square_root a rm (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.sqrt.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (square_root a rm (_ bv52 128) (_ bv64 128))))
  (and true true
    (square_root.safe a rm (_ bv52 128) (_ bv64 128)))))

(define-fun f64.fma ((a Nat) (b Nat) (c Nat) (rm Nat)) Nat
  (let ((result.0 (multiply_add a b c rm (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.fma.safe ((a Nat) (b Nat) (c Nat) (rm Nat)) Bool
  (let ((result.0 (multiply_add a b c rm (_ bv52 128) (_ bv64 128))))
  (and true true
    (multiply_add.safe a b c rm (_ bv52 128) (_ bv64 128)))))

(define-fun f64.min ((a Nat) (b Nat)) Nat
  (let ((result.0 (min_max a b (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.min.safe ((a Nat) (b Nat)) Bool
  (let ((result.0 (min_max a b (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (min_max.safe a b (_ bv0 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.max ((a Nat) (b Nat)) Nat
  (let ((result.0 (min_max a b (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.max.safe ((a Nat) (b Nat)) Bool
  (let ((result.0 (min_max a b (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (min_max.safe a b (_ bv1 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.equal ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_equal a b (_ bv52 128) (_ bv64 128))))
  holds.0))

(define-fun f64.equal.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_equal a b (_ bv52 128) (_ bv64 128))))
  (and true true
    (compare_equal.safe a b (_ bv52 128) (_ bv64 128)))))

(define-fun f64.less ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_less a b (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  holds.0))

(define-fun f64.less.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_less a b (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (compare_less.safe a b (_ bv0 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.less_equal ((a Nat) (b Nat)) Nat
  (let ((holds.0 (compare_less a b (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  holds.0))

(define-fun f64.less_equal.safe ((a Nat) (b Nat)) Bool
  (let ((holds.0 (compare_less a b (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (compare_less.safe a b (_ bv1 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.class ((a Nat)) Nat
  (let ((mask.0 (classify a (_ bv52 128) (_ bv64 128))))
  mask.0))

(define-fun f64.class.safe ((a Nat)) Bool
  (let ((mask.0 (classify a (_ bv52 128) (_ bv64 128))))
  (and true true
    (classify.safe a (_ bv52 128) (_ bv64 128)))))

(define-fun f64.negate ((a Nat)) Nat
  (bvxor a (_ bv9223372036854775808 128)))

(define-fun f64.negate.safe ((a Nat)) Bool
  (and true true))

(define-fun f64.copy_sign ((a Nat) (b Nat)) Nat
  (bvor (bvand a (_ bv9223372036854775807 128)) (bvand b (_ bv9223372036854775808 128))))

(define-fun f64.copy_sign.safe ((a Nat) (b Nat)) Bool
  (and true true))

(define-fun f64.to_f32 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (convert a rm (_ bv52 128) (_ bv64 128) (_ bv23 128) (_ bv32 128))))
  result.0))

(define-fun f64.to_f32.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (convert a rm (_ bv52 128) (_ bv64 128) (_ bv23 128) (_ bv32 128))))
  (and true true
    (convert.safe a rm (_ bv52 128) (_ bv64 128) (_ bv23 128) (_ bv32 128)))))

(define-fun f64.to_i32 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  ((_ zero_extend 64) ((_ sign_extend 32) ((_ extract 31 0) ((_ extract 63 0) integer.0))))))

(define-fun f64.to_i32.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (to_integer.safe a rm (_ bv32 128) (_ bv1 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.to_u32 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  ((_ zero_extend 64) ((_ sign_extend 32) ((_ extract 31 0) ((_ extract 63 0) integer.0))))))

(define-fun f64.to_u32.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv32 128) (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (to_integer.safe a rm (_ bv32 128) (_ bv0 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.to_i64 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  ((_ zero_extend 64) ((_ extract 63 0) integer.0))))

(define-fun f64.to_i64.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (to_integer.safe a rm (_ bv64 128) (_ bv1 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.to_u64 ((a Nat) (rm Nat)) Nat
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  ((_ zero_extend 64) ((_ extract 63 0) integer.0))))

(define-fun f64.to_u64.safe ((a Nat) (rm Nat)) Bool
  (let ((integer.0 (to_integer a rm (_ bv64 128) (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (to_integer.safe a rm (_ bv64 128) (_ bv0 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.from_i64 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.from_i64.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (from_integer.safe ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv1 128) (_ bv52 128) (_ bv64 128)))))

(define-fun f64.from_u64 ((a Nat) (rm Nat)) Nat
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  result.0))

(define-fun f64.from_u64.safe ((a Nat) (rm Nat)) Bool
  (let ((result.0 (from_integer ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv52 128) (_ bv64 128))))
  (and true true
    (from_integer.safe ((_ zero_extend 64) ((_ extract 63 0) a)) rm (_ bv0 128) (_ bv52 128) (_ bv64 128)))))

