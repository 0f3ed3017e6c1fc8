(* Reverse-mode differentiation over the reals, proved once for all programs, sizes and points.

   A tensor is a family of reals over the integers from 0 to its sizes less one. A program is a list of equations, each of
   which defines one tensor, entry by entry, from those before it; the last defines the cost. `chain_rule`: if each adjoint
   is the sum over all occurrences of its tensor of the adjoint of the equation times the local slope, then the adjoints
   are the derivatives of the cost. *)

From Coq Require Import Reals ZArith List FinFun FunctionalExtensionality Bool Lia Lra.
From Coquelicot Require Import Coquelicot.
Import ListNotations.
Open Scope R_scope.

(* Sums over a list, over an axis, over all entries of a tensor. *)

Fixpoint over {A : Type} (l : list A) (f : A -> R) : R :=
  match l with [] => 0 | [a] => f a | a :: rest => f a + over rest f end.

Definition range (n : Z) : list Z := map Z.of_nat (seq 0 (Z.to_nat n)).

Definition sum (n : Z) (f : Z -> R) : R := over (range n) f.

Fixpoint sums (shape : list Z) (f : list Z -> R) : R :=
  match shape with [] => f [] | n :: rest => sum n (fun k => sums rest (fun q => f (k :: q))) end.

Lemma over_cons {A} (a : A) l f : over (a :: l) f = f a + over l f.
Proof. destruct l; simpl; ring. Qed.

Lemma over_ext {A} (l : list A) f g : (forall a, In a l -> f a = g a) -> over l f = over l g.
Proof.
  induction l as [|a l IH]; intros H; [reflexivity|].
  rewrite !over_cons, (H a), IH; [reflexivity| |left; reflexivity]. intros b Hb. apply H. right. exact Hb.
Qed.

Lemma over_plus {A} (l : list A) f g : over l (fun a => f a + g a) = over l f + over l g.
Proof. induction l as [|a l IH]; [simpl; ring|]. rewrite !over_cons, IH. ring. Qed.

Lemma over_scale {A} (l : list A) c f : over l (fun a => c * f a) = c * over l f.
Proof. induction l as [|a l IH]; [simpl; ring|]. rewrite !over_cons, IH. ring. Qed.

Lemma over_zero {A} (l : list A) : over l (fun _ => 0) = 0.
Proof. induction l as [|a l IH]; [reflexivity|]. rewrite over_cons, IH. ring. Qed.

Lemma over_swap {A B} (l : list A) (m : list B) f :
  over l (fun a => over m (f a)) = over m (fun b => over l (fun a => f a b)).
Proof.
  induction l as [|a l IH]; [symmetry; apply over_zero|].
  rewrite over_cons, IH, <- over_plus. apply over_ext. intros b _. rewrite over_cons. ring.
Qed.

Lemma over_append {A} (l m : list A) f : over (l ++ m) f = over l f + over m f.
Proof. induction l as [|a l IH]; [simpl; ring|]. simpl app. rewrite !over_cons, IH. ring. Qed.

Lemma over_map {A B} (g : A -> B) l f : over (map g l) f = over l (fun a => f (g a)).
Proof. induction l as [|a l IH]; [reflexivity|]. simpl map. rewrite !over_cons, IH. reflexivity. Qed.

Lemma over_only {A} (l : list A) a f : NoDup l -> In a l -> (forall b, In b l -> b <> a -> f b = 0) -> over l f = f a.
Proof.
  intros H; induction H as [|b l Hb Hl IH]; intros Ha Hf; [destruct Ha|].
  rewrite over_cons. destruct Ha as [<-|Ha].
  - rewrite (over_ext l f (fun _ => 0)), over_zero; [ring|].
    intros c Hc. apply Hf; [right; exact Hc|]. intros ->. contradiction.
  - rewrite IH, (Hf b); [ring|left; reflexivity| |exact Ha|].
    + intros ->. contradiction.
    + intros c Hc. apply Hf. right. exact Hc.
Qed.

Lemma in_range n k : In k (range n) <-> (0 <= k < n)%Z.
Proof.
  unfold range. rewrite in_map_iff. split.
  - intros (j & <- & Hj). apply in_seq in Hj. lia.
  - intros H. exists (Z.to_nat k). rewrite in_seq. lia.
Qed.

Lemma distinct_range n : NoDup (range n).
Proof. apply Injective_map_NoDup; [intros a b; lia|apply seq_NoDup]. Qed.

Lemma sum_ext n f g : (forall k, (0 <= k < n)%Z -> f k = g k) -> sum n f = sum n g.
Proof. intros H. apply over_ext. intros k Hk. apply H, in_range, Hk. Qed.

Lemma sum_plus n f g : sum n (fun k => f k + g k) = sum n f + sum n g.
Proof. apply over_plus. Qed.

Lemma sum_scale n c f : sum n (fun k => c * f k) = c * sum n f.
Proof. apply over_scale. Qed.

Lemma sum_zero n f : (forall k, (0 <= k < n)%Z -> f k = 0) -> sum n f = 0.
Proof. intros H. rewrite (sum_ext n f (fun _ => 0) H). apply over_zero. Qed.

Lemma sum_only n p f : (0 <= p < n)%Z -> (forall k, (0 <= k < n)%Z -> k <> p -> f k = 0) -> sum n f = f p.
Proof.
  intros Hp H. apply over_only; [apply distinct_range|apply in_range, Hp|].
  intros k Hk. apply H, in_range, Hk.
Qed.

Lemma sum_swap n m f : sum n (fun j => sum m (f j)) = sum m (fun k => sum n (fun j => f j k)).
Proof. apply over_swap. Qed.

Lemma sum_positive n f : (0 < n)%Z -> (forall k, (0 <= k < n)%Z -> 0 < f k) -> 0 < sum n f.
Proof.
  intros Hn H. unfold sum.
  assert (G : forall l, l <> [] -> (forall k, In k l -> 0 < f k) -> 0 < over l f).
  { induction l as [|a [|b l] IH]; intros Hl G; [congruence|apply G; left; reflexivity|].
    rewrite over_cons. apply Rplus_lt_0_compat; [apply G; left; reflexivity|].
    apply IH; [discriminate|]. intros k Hk. apply G. right. exact Hk. }
  apply G.
  - assert (K : In 0%Z (range n)) by (apply in_range; lia). destruct (range n); [destruct K|discriminate].
  - intros k Hk. apply H, in_range, Hk.
Qed.

Lemma sum_not_negative n f : (forall k, (0 <= k < n)%Z -> 0 <= f k) -> 0 <= sum n f.
Proof.
  intros H. unfold sum. assert (G : forall k, In k (range n) -> 0 <= f k) by (intros k Hk; apply H, in_range, Hk).
  induction (range n) as [|a l IH]; [simpl; lra|]. rewrite over_cons.
  apply Rplus_le_le_0_compat; [apply G; left; reflexivity|]. apply IH. intros k Hk. apply G. right. exact Hk.
Qed.

(* The entries of a tensor, and the Kronecker delta. *)

Fixpoint inside (shape at_ : list Z) : Prop :=
  match shape, at_ with
  | [], [] => True
  | n :: shape, k :: at_ => (0 <= k < n)%Z /\ inside shape at_
  | _, _ => False
  end.

Fixpoint entries (shape : list Z) (P : list Z -> Prop) : Prop :=
  match shape with [] => P [] | n :: rest => forall k, (0 <= k < n)%Z -> entries rest (fun q => P (k :: q)) end.

Definition delta (i j : Z) : R := if (i =? j)%Z then 1 else 0.

Fixpoint same (p q : list Z) : R :=
  match p, q with [], [] => 1 | i :: p, j :: q => delta i j * same p q | _, _ => 0 end.

Lemma delta_same i : delta i i = 1.
Proof. unfold delta. rewrite Z.eqb_refl. reflexivity. Qed.

Lemma delta_other i j : i <> j -> delta i j = 0.
Proof. unfold delta. intros H. apply Z.eqb_neq in H. rewrite H. reflexivity. Qed.

Lemma entries_inside shape P : entries shape P <-> forall p, inside shape p -> P p.
Proof.
  revert P. induction shape as [|n shape IH]; intros P; simpl.
  - split; [intros H [|k p] Hp; [exact H|destruct Hp]|intros H; apply H; exact I].
  - split.
    + intros H [|k p] Hp; [destruct Hp|]. destruct Hp as [Hk Hp]. exact (proj1 (IH _) (H k Hk) p Hp).
    + intros H k Hk. apply IH. intros p Hp. apply H. split; assumption.
Qed.

Lemma sums_ext shape f g : (forall p, inside shape p -> f p = g p) -> sums shape f = sums shape g.
Proof.
  revert f g. induction shape as [|n shape IH]; intros f g H; simpl; [apply H; exact I|].
  apply sum_ext. intros k Hk. apply IH. intros p Hp. apply H. split; assumption.
Qed.

Lemma sums_plus shape f g : sums shape (fun p => f p + g p) = sums shape f + sums shape g.
Proof.
  revert f g. induction shape as [|n shape IH]; intros f g; simpl; [reflexivity|].
  rewrite <- sum_plus. apply sum_ext. intros k _. apply IH.
Qed.

Lemma sums_scale shape c f : sums shape (fun p => c * f p) = c * sums shape f.
Proof.
  revert f. induction shape as [|n shape IH]; intros f; simpl; [reflexivity|].
  rewrite <- sum_scale. apply sum_ext. intros k _. apply IH.
Qed.

Lemma sums_zero shape f : (forall p, inside shape p -> f p = 0) -> sums shape f = 0.
Proof.
  revert f. induction shape as [|n shape IH]; intros f H; simpl; [apply H; exact I|].
  apply sum_zero. intros k Hk. apply IH. intros p Hp. apply H. split; assumption.
Qed.

Lemma sums_over {A} shape (l : list A) f :
  sums shape (fun p => over l (f p)) = over l (fun a => sums shape (fun p => f p a)).
Proof.
  revert f. induction shape as [|n shape IH]; intros f; simpl; [reflexivity|].
  rewrite (sum_ext n _ (fun k => over l (fun a => sums shape (fun q => f (k :: q) a)))) by (intros; apply IH).
  apply over_swap.
Qed.

Lemma sums_sum shape n f : sums shape (fun p => sum n (f p)) = sum n (fun k => sums shape (fun p => f p k)).
Proof. apply sums_over. Qed.

Lemma sums_swap shape other f :
  sums shape (fun p => sums other (f p)) = sums other (fun q => sums shape (fun p => f p q)).
Proof.
  revert f. induction other as [|n other IH]; intros f; simpl; [reflexivity|].
  rewrite sums_sum. apply sum_ext. intros k _. apply IH.
Qed.

Lemma sums_same shape at_ f : inside shape at_ -> sums shape (fun p => same at_ p * f p) = f at_.
Proof.
  revert at_ f. induction shape as [|n shape IH]; intros [|k at_] f H; try contradiction.
  - simpl. ring.
  - destruct H as [Hk H]. simpl. rewrite (sum_only n k _ Hk).
    + rewrite <- (IH at_ (fun q => f (k :: q)) H). apply sums_ext. intros q _. rewrite delta_same. ring.
    + intros j _ Hj. apply sums_zero. intros q _. rewrite delta_other; [ring|congruence].
Qed.

(* Scalar functions, each with its slope, the points where it has one, and the proof. *)

Record function := {
  value : R -> R;
  slope : R -> R;
  domain : R -> Prop;
  right_slope : forall x, domain x -> is_derive value x (slope x)
}.

(* The table of slopes. *)

Definition sigmoid (x : R) : R := / (1 + exp (- x)).
Definition step (x : R) : R := if Rlt_dec 0 x then 1 else 0.
Definition erf (x : R) : R := 2 / sqrt PI * RInt (fun u => exp (- u ^ 2)) 0 x.

Lemma exp_plus_one x : 0 < 1 + exp x.
Proof. pose proof (exp_pos x). lra. Qed.

Lemma sigmoid_positive x : 0 < sigmoid x.
Proof. apply Rinv_0_lt_compat, exp_plus_one. Qed.

Lemma sigmoid_below_one x : 0 < 1 - sigmoid x.
Proof.
  unfold sigmoid. pose proof (exp_pos (- x)). replace (1 - / (1 + exp (- x))) with (exp (- x) / (1 + exp (- x))).
  - apply Rdiv_lt_0_compat; lra.
  - field. lra.
Qed.

Lemma part_below_one x : 0 < x -> 0 < 1 - 1 / (1 + x).
Proof. intros H. replace (1 - 1 / (1 + x)) with (x / (1 + x)) by (field; lra). apply Rdiv_lt_0_compat; lra. Qed.

Lemma Rplus_comm_denominator x : 1 - 1 / (x + 1) = 1 - 1 / (1 + x).
Proof. rewrite (Rplus_comm x). reflexivity. Qed.

Lemma nonzero x : 0 < x -> x <> 0.
Proof. lra. Qed.

Lemma slope_opposite x : True -> is_derive Ropp x (-1).
Proof. intros _. auto_derive; [exact I|ring]. Qed.
Definition opposite := Build_function Ropp (fun _ => -1) (fun _ => True) slope_opposite.

Lemma slope_inverse x : x <> 0 -> is_derive Rinv x (- / x ^ 2).
Proof. intros H. auto_derive; [exact H|field; exact H]. Qed.
Definition inverse := Build_function Rinv (fun x => - / x ^ 2) (fun x => x <> 0) slope_inverse.

Lemma slope_power n x : True -> is_derive (fun x => x ^ n) x (IZR (Z.of_nat n) * x ^ pred n).
Proof. intros _. rewrite <- INR_IZR_INZ. auto_derive; [exact I|ring]. Qed.
Definition power n := Build_function (fun x => x ^ n) _ (fun _ => True) (slope_power n).

Lemma slope_root x : 0 < x -> is_derive sqrt x (/ (2 * sqrt x)).
Proof. intros H. auto_derive; [exact H|field; apply nonzero, sqrt_lt_R0, H]. Qed.
Definition root := Build_function sqrt (fun x => / (2 * sqrt x)) (fun x => 0 < x) slope_root.

Lemma slope_real_power a x : 0 < x -> is_derive (fun x => Rpower x a) x (a * Rpower x (a - 1)).
Proof. intros H. apply is_derive_Reals, derivable_pt_lim_power, H. Qed.
Definition real_power a := Build_function (fun x => Rpower x a) _ (fun x => 0 < x) (slope_real_power a).

Lemma slope_exp x : True -> is_derive exp x (exp x).
Proof. intros _. auto_derive; [exact I|ring]. Qed.
Definition exponential := Build_function exp exp (fun _ => True) slope_exp.

Lemma slope_ln x : 0 < x -> is_derive ln x (/ x).
Proof. intros H. auto_derive; [exact H|field; lra]. Qed.
Definition logarithm := Build_function ln Rinv (fun x => 0 < x) slope_ln.

Lemma slope_sin x : True -> is_derive sin x (cos x).
Proof. intros _. auto_derive; [exact I|ring]. Qed.
Definition sine := Build_function sin cos (fun _ => True) slope_sin.

Lemma slope_cos x : True -> is_derive cos x (- sin x).
Proof. intros _. auto_derive; [exact I|ring]. Qed.
Definition cosine := Build_function cos (fun x => - sin x) (fun _ => True) slope_cos.

Lemma slope_atan x : True -> is_derive atan x (/ (1 + x ^ 2)).
Proof. intros _. apply is_derive_Reals, derivable_pt_lim_atan. Qed.
Definition arctangent := Build_function atan (fun x => / (1 + x ^ 2)) (fun _ => True) slope_atan.

Lemma slope_tanh x : True -> is_derive tanh x (1 - tanh x ^ 2).
Proof.
  intros _. pose proof (exp_pos x). pose proof (exp_pos (- x)). unfold tanh, sinh, cosh.
  auto_derive; [lra|field; lra].
Qed.
Definition hyperbolic_tangent := Build_function tanh (fun x => 1 - tanh x ^ 2) (fun _ => True) slope_tanh.

Lemma slope_sigmoid x : True -> is_derive sigmoid x (sigmoid x * (1 - sigmoid x)).
Proof. intros _. pose proof (exp_plus_one (- x)). unfold sigmoid. auto_derive; [lra|field; lra]. Qed.
Definition logistic := Build_function sigmoid (fun x => sigmoid x * (1 - sigmoid x)) (fun _ => True) slope_sigmoid.

Lemma slope_erf x : True -> is_derive erf x (2 / sqrt PI * exp (- x ^ 2)).
Proof.
  intros _. assert (C : forall u, continuous (fun u => exp (- u ^ 2)) u).
  { intros u. apply (ex_derive_continuous (fun u => exp (- u ^ 2))). auto_derive. exact I. }
  apply (is_derive_scal (fun x => RInt (fun u => exp (- u ^ 2)) 0 x)).
  apply (is_derive_RInt (fun u => exp (- u ^ 2)) _ 0); [|apply C].
  apply filter_forall. intros b. apply (RInt_correct (fun u => exp (- u ^ 2))), ex_RInt_continuous. intros u _. apply C.
Qed.
Definition error_function := Build_function erf _ (fun _ => True) slope_erf.

Lemma slope_step x : x <> 0 -> is_derive step x 0.
Proof.
  intros H. destruct (Rlt_dec 0 x) as [P|P].
  - apply (is_derive_ext_loc (fun _ => 1)); [|exact (is_derive_const 1 x)].
    exists (mkposreal x P). intros u Hu. apply Rabs_def2 in Hu. cbn in Hu. unfold minus, plus, opp in Hu. cbn in Hu.
    unfold step. destruct (Rlt_dec 0 u); [reflexivity|lra].
  - assert (N : 0 < - x) by lra. apply (is_derive_ext_loc (fun _ => 0)); [|exact (is_derive_const 0 x)].
    exists (mkposreal (- x) N). intros u Hu. apply Rabs_def2 in Hu. cbn in Hu. unfold minus, plus, opp in Hu. cbn in Hu.
    unfold step. destruct (Rlt_dec 0 u); [lra|reflexivity].
Qed.
Definition unit_step := Build_function step (fun _ => 0) (fun x => x <> 0) slope_step.

(* Expressions: of tensors, which are numbered. *)

Definition state := nat -> list Z -> R.

Inductive expression :=
  | Constant (c : R)
  | Entry (tensor : nat) (at_ : list Z)
  | Plus (a b : expression)
  | Times (a b : expression)
  | Call (f : function) (a : expression)
  | Choose (c : bool) (a b : expression)
  | Sum (n : Z) (body : Z -> expression).

Fixpoint eval (s : state) (e : expression) : R :=
  match e with
  | Constant c => c
  | Entry t p => s t p
  | Plus a b => eval s a + eval s b
  | Times a b => eval s a * eval s b
  | Call f a => value f (eval s a)
  | Choose c a b => if c then eval s a else eval s b
  | Sum n body => sum n (fun k => eval s (body k))
  end.

(* Where tensors occur: each occurrence with the way to it, true for the first part of a node, false for the second. *)
Fixpoint occurrences (e : expression) : list (nat * list bool) :=
  let through way := map (fun o : nat * list bool => (fst o, way :: snd o)) in
  match e with
  | Constant _ => []
  | Entry t _ => [(t, [])]
  | Plus a b | Times a b | Choose _ a b => through true (occurrences a) ++ through false (occurrences b)
  | Call _ a => through true (occurrences a)
  | Sum _ body => through true (occurrences (body 0%Z))
  end.

(* What arrives at entry p of the tensor at the end of the way, if bar is the adjoint of e. *)
Fixpoint arriving (s : state) (way : list bool) (e : expression) (bar : R) (p : list Z) : R :=
  match e, way with
  | Entry _ q, [] => bar * same q p
  | Plus a b, w :: way => arriving s way (if w then a else b) bar p
  | Times a b, w :: way => arriving s way (if w then a else b) (bar * eval s (if w then b else a)) p
  | Call f a, _ :: way => arriving s way a (bar * slope f (eval s a)) p
  | Choose c a b, w :: way => if c then (if w then arriving s way a bar p else 0)
                              else (if w then 0 else arriving s way b bar p)
  | Sum n body, _ :: way => sum n (fun k => arriving s way (body k) bar p)
  | _, _ => 0
  end.

(* Every function has a slope here, every index is inside, and no sum has other occurrences for other indices. *)
Fixpoint smooth (shape : nat -> list Z) (s : state) (e : expression) : Prop :=
  match e with
  | Constant _ => True
  | Entry t p => inside (shape t) p
  | Plus a b | Times a b => smooth shape s a /\ smooth shape s b
  | Choose c a b => (c = true -> smooth shape s a) /\ (c = false -> smooth shape s b)
  | Call f a => smooth shape s a /\ domain f (eval s a)
  | Sum n body => forall k, (0 <= k < n)%Z -> smooth shape s (body k) /\ occurrences (body k) = occurrences (body 0%Z)
  end.

(* The slope of an expression along a curve, whose tensors have the slopes d. *)
Fixpoint along (s d : state) (e : expression) : R :=
  match e with
  | Constant _ => 0
  | Entry t p => d t p
  | Plus a b => along s d a + along s d b
  | Times a b => along s d a * eval s b + eval s a * along s d b
  | Call f a => along s d a * slope f (eval s a)
  | Choose c a b => if c then along s d a else along s d b
  | Sum n body => sum n (fun k => along s d (body k))
  end.

Lemma derive_constant (c t : R) : is_derive (fun _ => c) t 0.
Proof. exact (is_derive_const c t). Qed.

Lemma derive_plus f g t df dg : is_derive f t df -> is_derive g t dg -> is_derive (fun s => f s + g s) t (df + dg).
Proof. exact (is_derive_plus f g t df dg). Qed.

Lemma derive_times f g t df dg :
  is_derive f t df -> is_derive g t dg -> is_derive (fun s => f s * g s) t (df * g t + f t * dg).
Proof. intros F G. exact (is_derive_mult f g t df dg F G Rmult_comm). Qed.

Lemma derive_call f g t df dg : is_derive f (g t) df -> is_derive g t dg -> is_derive (fun s => f (g s)) t (dg * df).
Proof. exact (is_derive_comp f g t df dg). Qed.

Lemma derive_over {A} (l : list A) f t df :
  (forall a, In a l -> is_derive (f a) t (df a)) -> is_derive (fun s => over l (fun a => f a s)) t (over l df).
Proof.
  induction l as [|a l IH]; intros H; [exact (derive_constant 0 t)|].
  rewrite over_cons. apply (is_derive_ext (fun s => f a s + over l (fun a => f a s))).
  - intros s. symmetry. exact (over_cons a l (fun b => f b s)).
  - apply derive_plus; [apply H; left; reflexivity|]. apply IH. intros b Hb. apply H. right. exact Hb.
Qed.

Lemma along_right shape c d e t :
  smooth shape (c t) e ->
  (forall o, In o (map fst (occurrences e)) -> forall p, inside (shape o) p -> is_derive (fun s => c s o p) t (d o p)) ->
  is_derive (fun s => eval (c s) e) t (along (c t) d e).
Proof.
  assert (M : forall w (l : list (nat * list bool)), map fst (map (fun o => (fst o, w :: snd o)) l) = map fst l).
  { intros w l. rewrite map_map. reflexivity. }
  induction e as [x|o p|a IHa b IHb|a IHa b IHb|f a IHa|b a IHa a' IHa'|n body IH]; simpl; intros S D;
    rewrite ?map_app, ?M in D.
  - apply derive_constant.
  - apply D; [left; reflexivity|exact S].
  - apply derive_plus; [apply IHa|apply IHb]; try apply S; intros o Ho; apply D, in_or_app; auto.
  - apply derive_times; [apply IHa|apply IHb]; try apply S;
      intros o Ho; apply D, in_or_app; auto.
  - apply derive_call; [apply right_slope, S|apply IHa]; [apply S|exact D].
  - destruct b; [apply IHa|apply IHa']; try (apply S; reflexivity); intros o Ho; apply D, in_or_app; auto.
  - apply derive_over. intros k Hk. apply in_range in Hk. destruct (S k Hk) as [Sk Ok].
    apply IH; [exact Sk|]. rewrite Ok. exact D.
Qed.

Lemma arriving_right shape s d e bar :
  smooth shape s e ->
  bar * along s d e =
  over (occurrences e) (fun o => sums (shape (fst o)) (fun p => arriving s (snd o) e bar p * d (fst o) p)).
Proof.
  revert bar.
  induction e as [x|o p|a IHa b IHb|a IHa b IHb|f a IHa|b a IHa a' IHa'|n body IH]; intros bar; simpl; intros S.
  - ring.
  - rewrite (sums_ext _ _ (fun q => bar * (same p q * d o q))) by (intros; ring).
    rewrite sums_scale, sums_same; [reflexivity|exact S].
  - rewrite over_append, !over_map. simpl. rewrite <- (IHa bar), <- (IHb bar) by apply S. ring.
  - rewrite over_append, !over_map. simpl.
    rewrite <- (IHa (bar * eval s b)), <- (IHb (bar * eval s a)) by apply S. ring.
  - rewrite over_map. simpl. rewrite <- (IHa (bar * slope f (eval s a))) by apply S. ring.
  - rewrite over_append, !over_map. simpl. destruct b.
    + rewrite <- (IHa bar) by (apply S; reflexivity).
      rewrite (over_ext (occurrences a') _ (fun _ => 0)), over_zero; [ring|].
      intros o _. apply sums_zero. intros. simpl. ring.
    + rewrite <- (IHa' bar) by (apply S; reflexivity).
      rewrite (over_ext (occurrences a) _ (fun _ => 0)), over_zero; [ring|].
      intros o _. apply sums_zero. intros. simpl. ring.
  - rewrite over_map. simpl. rewrite <- sum_scale.
    rewrite (sum_ext n _ (fun k => over (occurrences (body 0%Z)) (fun o => sums (shape (fst o))
      (fun p => arriving s (snd o) (body k) bar p * d (fst o) p)))).
    + unfold sum. rewrite over_swap. apply over_ext. intros o _. rewrite <- sums_over. apply sums_ext. intros p _.
      rewrite Rmult_comm, <- over_scale. apply over_ext. intros k _. ring.
    + intros k Hk. destruct (S k Hk) as [Sk Ok]. rewrite (IH k bar Sk), Ok. reflexivity.
Qed.

(* A program: tensors 0 to first - 1 are inputs, first to last are defined one after the other, last is the cost. *)

Fixpoint each (l : list nat) (P : nat -> Prop) : Prop := match l with [] => True | k :: l => P k /\ each l P end.

Lemma each_in l P : each l P -> forall k, In k l -> P k.
Proof. induction l as [|j l IH]; simpl; [tauto|]. intros [H G] k [<-|Hk]; auto. Qed.

Section Chain_rule.

Variables (first last : nat) (shape : nat -> list Z) (body : nat -> list Z -> expression).

Definition equations : list nat := seq first (S last - first).
Definition inside_of (k : nat) : list (nat * list bool) := occurrences (body k (map (fun _ => 0%Z) (shape k))).
Definition users (u : nat) : list (nat * list bool) :=
  flat_map (fun k => map (fun o => (k, snd o)) (filter (fun o => Nat.eqb (fst o) u) (inside_of k))) equations.
Definition ordered : bool := forallb (fun k => forallb (fun o => Nat.ltb (fst o) k) (inside_of k)) equations.

(* The equations hold all along a curve of inputs. *)
Definition obeys (values : R -> state) : Prop :=
  each equations (fun k => entries (shape k) (fun p => forall s, values s k p = eval (values s) (body k p))).

Definition differentiable (s : state) : Prop :=
  each equations (fun k => entries (shape k) (fun p => smooth shape s (body k p) /\ occurrences (body k p) = inside_of k)).

Definition adjoint (s bar : state) (u : nat) (p : list Z) : Prop :=
  bar u p = over (users u) (fun o => sums (shape (fst o))
    (fun q => arriving s (snd o) (body (fst o) q) (bar (fst o) q) p)).

Definition adjoints (s bar : state) : Prop := each (seq 0 last) (fun u => entries (shape u) (adjoint s bar u)).

Variables (values : R -> state) (t : R) (bar d : state).
Hypothesis in_order : ordered = true.
Hypothesis there_is_a_cost : (first <= last)%nat.
Hypothesis cost : shape last = [].
Hypothesis values_obey : obeys values.
Hypothesis values_smooth : differentiable (values t).
Hypothesis inputs_move :
  each (seq 0 first) (fun u => entries (shape u) (fun p => is_derive (fun s => values s u p) t (d u p))).
Hypothesis bars : adjoints (values t) bar.
Hypothesis bar_of_cost : bar last [] = 1.

Let D : state := fun k p => Derive (fun s => values s k p) t.

Lemma earlier k o : In k equations -> In o (inside_of k) -> (fst o < k <= last)%nat.
Proof.
  intros Hk Ho. split.
  - pose proof in_order as F. unfold ordered in F. rewrite forallb_forall in F. specialize (F k Hk).
    rewrite forallb_forall in F. apply Nat.ltb_lt, F, Ho.
  - unfold equations in Hk. apply in_seq in Hk. lia.
Qed.

Lemma all_move k p : (k <= last)%nat -> inside (shape k) p -> is_derive (fun s => values s k p) t (D k p).
Proof.
  revert p. induction k as [k IH] using lt_wf_ind. intros p Hk Hp. apply Derive_correct.
  destruct (le_lt_dec first k) as [Hf|Hf].
  - assert (E : In k equations) by (apply in_seq; lia).
    destruct (proj1 (entries_inside _ _) (each_in _ _ values_smooth k E) p Hp) as [S O].
    exists (along (values t) D (body k p)).
    apply (is_derive_ext (fun s => eval (values s) (body k p))).
    + intros s. symmetry. exact (proj1 (entries_inside _ _) (each_in _ _ values_obey k E) p Hp s).
    + apply (along_right shape); [exact S|]. rewrite O. intros u Hu q Hq. apply in_map_iff in Hu.
      destruct Hu as (o & <- & Ho). destruct (earlier k o E Ho). apply IH; [lia|lia|exact Hq].
  - exists (d k p). apply (proj1 (entries_inside _ _) (each_in _ _ inputs_move k ltac:(apply in_seq; lia)) p Hp).
Qed.

Lemma slope_of_equation k p : In k equations -> inside (shape k) p -> D k p = along (values t) D (body k p).
Proof.
  intros E Hp. assert (Hk : (k <= last)%nat) by (apply in_seq in E; lia).
  destruct (proj1 (entries_inside _ _) (each_in _ _ values_smooth k E) p Hp) as [S O].
  apply is_derive_unique, (is_derive_ext (fun s => eval (values s) (body k p))).
  - intros s. symmetry. exact (proj1 (entries_inside _ _) (each_in _ _ values_obey k E) p Hp s).
  - apply (along_right shape); [exact S|]. rewrite O. intros u Hu q Hq. apply in_map_iff in Hu.
    destruct Hu as (o & <- & Ho). destruct (earlier k o E Ho). apply all_move; [lia|exact Hq].
Qed.

(* What the adjoint of a tensor and its slope have in common. *)
Let met (k : nat) : R := sums (shape k) (fun p => bar k p * D k p).

Lemma met_by_equations : over (seq 0 last) met = over equations met.
Proof.
  set (part := fun (k : nat) (o : nat * list bool) => sums (shape k) (fun q => sums (shape (fst o))
    (fun p => arriving (values t) (snd o) (body k q) (bar k q) p * D (fst o) p))).
  transitivity (over (seq 0 last) (fun u => over equations (fun k =>
    over (filter (fun o => Nat.eqb (fst o) u) (inside_of k)) (part k)))).
  - apply over_ext. intros u Hu. unfold met.
    rewrite (sums_ext _ _ (fun p => over (users u) (fun o => sums (shape (fst o))
      (fun q => arriving (values t) (snd o) (body (fst o) q) (bar (fst o) q) p * D u p)))).
    + rewrite sums_over. unfold users. induction equations as [|k l IH]; [reflexivity|].
      simpl flat_map. rewrite over_append, over_cons, IH. f_equal. rewrite over_map. apply over_ext.
      intros o Ho. apply filter_In in Ho. destruct Ho as [_ Ho]. apply Nat.eqb_eq in Ho. subst u.
      apply sums_swap.
    + intros p Hp. rewrite (proj1 (entries_inside _ _) (each_in _ _ bars u Hu) p Hp).
      rewrite Rmult_comm, <- over_scale. apply over_ext. intros o _. rewrite <- sums_scale. apply sums_ext.
      intros q _. ring.
  - rewrite over_swap. apply over_ext. intros k Hk.
    transitivity (over (inside_of k) (part k)).
    + assert (G : forall o, In o (inside_of k) -> In (fst o) (seq 0 last)).
      { intros o Ho. apply in_seq. pose proof (earlier k o Hk Ho). lia. }
      induction (inside_of k) as [|o l IH]; [apply over_zero|].
      rewrite over_cons, <- IH by (intros; apply G; right; assumption).
      transitivity (over (seq 0 last) (fun u => (if Nat.eqb (fst o) u then part k o else 0)
        + over (filter (fun o => Nat.eqb (fst o) u) l) (part k))).
      * apply over_ext. intros u _. simpl. destruct (Nat.eqb (fst o) u); [rewrite over_cons|]; ring.
      * rewrite over_plus. f_equal. rewrite (over_only _ (fst o)).
        -- rewrite Nat.eqb_refl. reflexivity.
        -- apply seq_NoDup.
        -- apply G. left. reflexivity.
        -- intros u _ Hu. apply not_eq_sym, Nat.eqb_neq in Hu. rewrite Hu. reflexivity.
    + unfold met, part. rewrite <- sums_over. apply sums_ext. intros q Hq.
      rewrite (slope_of_equation k q Hk Hq).
      destruct (proj1 (entries_inside _ _) (each_in _ _ values_smooth k Hk) q Hq) as [S O].
      rewrite (arriving_right shape _ _ _ _ S), O. reflexivity.
Qed.

Theorem chain_rule :
  is_derive (fun s => values s last []) t (over (seq 0 first) (fun u => sums (shape u) (fun p => bar u p * d u p))).
Proof.
  assert (Inputs : over (seq 0 first) (fun u => sums (shape u) (fun p => bar u p * d u p)) = over (seq 0 first) met).
  { apply over_ext. intros u Hu. apply sums_ext. intros p Hp. f_equal. symmetry. apply is_derive_unique.
    exact (proj1 (entries_inside _ _) (each_in _ _ inputs_move u Hu) p Hp). }
  assert (Cost : over (seq 0 first) met = D last []).
  { pose proof met_by_equations as E. unfold equations in E.
    replace (seq 0 last) with (seq 0 first ++ seq first (last - first)) in E
      by (rewrite <- seq_app; f_equal; lia).
    replace (seq first (S last - first)) with (seq first (last - first) ++ [last]) in E
      by (replace (S last - first)%nat with (last - first + 1)%nat by lia; rewrite seq_app; simpl; do 2 f_equal; lia).
    rewrite !over_append in E. simpl over in E at 4. unfold met in E at 4. rewrite cost in E. simpl sums in E.
    rewrite bar_of_cost in E. lra. }
  rewrite Inputs, Cost. apply all_move; [lia|]. rewrite cost. exact I.
Qed.

End Chain_rule.

(* One entry of one input moves, all others stand. *)
Theorem partial_derivative first last shape body (values : R -> state) t (s bar : state) u p :
  ordered first last shape body = true -> (first <= last)%nat -> shape last = [] -> bar last [] = 1 ->
  differentiable first last shape body s -> adjoints first last shape body s bar ->
  obeys first last shape body values -> values t = s -> In u (seq 0 first) -> inside (shape u) p ->
  each (seq 0 first) (fun v => entries (shape v) (fun q =>
    is_derive (fun s => values s v q) t (if Nat.eqb v u then same p q else 0))) ->
  is_derive (fun s => values s last []) t (bar u p).
Proof.
  intros O L C B S A E <- Hu Hp M.
  replace (bar u p) with (over (seq 0 first) (fun v => sums (shape v)
    (fun q => bar v q * (if Nat.eqb v u then same p q else 0)))).
  - apply (chain_rule first last shape body values t bar _ O L C E S M A B).
  - rewrite (over_only _ u); [|apply seq_NoDup|exact Hu|].
    + rewrite Nat.eqb_refl. rewrite <- (sums_same (shape u) p (bar u) Hp). apply sums_ext. intros q _. ring.
    + intros v _ Hv. apply Nat.eqb_neq in Hv. rewrite Hv. apply sums_zero. intros. ring.
Qed.

Fixpoint alike (p q : list Z) : bool :=
  match p, q with [], [] => true | i :: p, j :: q => (i =? j)%Z && alike p q | _, _ => false end.

(* The point at which entry q of input u is t, and all else as in p. *)
Definition moved (p : state) (u : nat) (q : list Z) (t : R) : state :=
  fun v r => if Nat.eqb v u && alike q r then t else p v r.

Lemma same_alike q r : same q r = if alike q r then 1 else 0.
Proof.
  revert r. induction q as [|i q IH]; intros [|j r]; simpl; try reflexivity. rewrite IH. unfold delta.
  destruct (i =? j)%Z, (alike q r); simpl; ring.
Qed.

Lemma alike_equal q r : alike q r = true -> q = r.
Proof.
  revert r. induction q as [|i q IH]; intros [|j r]; simpl; try congruence. rewrite andb_true_iff, Z.eqb_eq.
  intros [-> H]. f_equal. apply IH, H.
Qed.

Lemma moved_nowhere p u q : moved p u q (p u q) = p.
Proof.
  apply functional_extensionality. intros v. apply functional_extensionality. intros r. unfold moved.
  destruct (Nat.eqb v u) eqn:E; [|reflexivity]. apply Nat.eqb_eq in E. subst v.
  destruct (alike q r) eqn:E; [|reflexivity]. apply alike_equal in E. subst r. reflexivity.
Qed.

Lemma derive_moved p u q t v r :
  is_derive (fun s => moved p u q s v r) t (if Nat.eqb v u then same q r else 0).
Proof.
  unfold moved. rewrite same_alike. destruct (Nat.eqb v u); simpl; [|exact (derive_constant _ t)].
  destruct (alike q r); [exact (is_derive_id t)|exact (derive_constant _ t)].
Qed.

(* The gradient of a program, whose tensors are `values_of` its inputs. *)
Theorem gradient first last shape body (values_of : state -> state) (p bar : state) u q :
  ordered first last shape body = true -> (first <= last)%nat -> shape last = [] -> bar last [] = 1 ->
  (forall curve, obeys first last shape body (fun t => values_of (curve t))) ->
  each (seq 0 first) (fun v => entries (shape v) (fun r => forall s, values_of s v r = s v r)) ->
  differentiable first last shape body (values_of p) -> adjoints first last shape body (values_of p) bar ->
  (u < first)%nat -> inside (shape u) q ->
  is_derive (fun t => values_of (moved p u q t) last []) (p u q) (bar u q).
Proof.
  intros O L C B E V S A Hu Hq.
  apply (partial_derivative first last shape body (fun t => values_of (moved p u q t)) (p u q) (values_of p) bar u q);
    try assumption; [apply E|rewrite moved_nowhere; reflexivity|apply in_seq; lia|].
  revert V. generalize (seq 0 first). intros l. induction l as [|v l IH]; simpl; [tauto|]. intros [Hv Hl].
  split; [|apply IH, Hl]. apply entries_inside. intros r Hr.
  apply (is_derive_ext (fun s => moved p u q s v r)); [|apply derive_moved].
  intros s. symmetry. exact (proj1 (entries_inside _ _) Hv r Hr _).
Qed.

(* Proofs of the steps, by computation. *)

Lemma sum_at n p f r :
  (0 <= p < n)%Z -> (forall k, (0 <= k < n)%Z -> k <> p -> f k = 0) -> f p = r -> sum n f = r.
Proof. intros Hp H <-. apply sum_only; assumption. Qed.

Lemma sum_one f : sum 1 f = f 0%Z.
Proof. apply sum_only; [lia|]. intros k Hk H. lia. Qed.

Lemma plus_both a b c d : a = c -> b = d -> a + b = c + d.
Proof. intros -> ->. reflexivity. Qed.

Lemma minus_both a b c d : a = c -> -1 * b = d -> a - b = c + d.
Proof. intros <- <-. ring. Qed.

Lemma times_plus a b c x y : a * c = x -> b * c = y -> (a + b) * c = x + y.
Proof. intros <- <-. ring. Qed.

Lemma times_sum n f c g : (forall k, (0 <= k < n)%Z -> f k * c = g k) -> sum n f * c = sum n g.
Proof. intros H. rewrite Rmult_comm, <- sum_scale. apply sum_ext. intros k Hk. rewrite <- (H k Hk). ring. Qed.

Lemma sum_of_plus n f g x y : sum n f = x -> sum n g = y -> sum n (fun k => f k + g k) = x + y.
Proof. intros <- <-. apply sum_plus. Qed.

(* What is not 0, and what is positive. *)
Ltac head e := lazymatch e with ?f _ => head f | _ => e end.

Ltac known := match goal with H : _ |- _ => solve [apply H; first [assumption | lia]] end.

Ltac positive :=
  cbv beta;
  lazymatch goal with
  | |- 0 < exp _ => apply exp_pos
  | |- 0 < sigmoid _ => apply sigmoid_positive
  | |- 0 < 1 - sigmoid _ => apply sigmoid_below_one
  | |- 0 < 1 - 1 / (1 + _) => apply part_below_one; positive
  | |- 0 < 1 - 1 / (_ + 1) => rewrite Rplus_comm_denominator; apply part_below_one; positive
  | |- 0 < PI => apply PI_RGT_0
  | |- 0 < IZR _ => first [lra | apply IZR_lt; lia]
  | |- 0 < / _ => apply Rinv_0_lt_compat; positive
  | |- 0 < sqrt _ => apply sqrt_lt_R0; positive
  | |- 0 < _ ^ _ => apply pow_lt; positive
  | |- 0 < Rpower _ _ => apply exp_pos
  | |- 0 < _ * _ => apply Rmult_lt_0_compat; positive
  | |- 0 < _ / _ => apply Rdiv_lt_0_compat; positive
  | |- 0 < - ?a + 1 => replace (- a + 1) with (1 - a) by ring; positive
  | |- 0 < 1 - ?a => first [known | opened a; positive]
  | |- 0 < _ + _ => first [apply Rplus_lt_0_compat; positive | apply Rplus_le_lt_0_compat; [not_negative | positive]
                          | apply Rplus_lt_le_0_compat; [positive | not_negative]]
  | |- 0 < sum _ _ => apply sum_positive; [lia | intros ? ?; positive]
  | |- 0 < ?a => first [assumption | known | opened a; positive]
  end
with not_negative :=
  cbv beta;
  lazymatch goal with
  | |- 0 <= _ ^ 2 => apply pow2_ge_0
  | |- 0 <= _ * _ => apply Rmult_le_pos; not_negative
  | |- 0 <= _ / _ => apply Rdiv_le_0_compat; [not_negative | positive]
  | |- 0 <= _ + _ => apply Rplus_le_le_0_compat; not_negative
  | |- 0 <= sum _ _ => apply sum_not_negative; intros ? ?; not_negative
  | |- 0 <= ?a => first [apply Rlt_le; positive | opened a; not_negative]
  end
with opened a := let h := head a in unfold h.

Ltac apart :=
  cbv beta;
  lazymatch goal with
  | |- _ /\ _ => split; apart
  | |- IZR _ <> 0 => first [lra | apply not_0_IZR; lia]
  | |- _ * _ <> 0 => apply Rmult_integral_contrapositive_currified; apart
  | |- / _ <> 0 => apply Rinv_neq_0_compat; apart
  | |- _ ^ _ <> 0 => apply pow_nonzero; apart
  | |- _ => first [assumption | known | apply nonzero; positive]
  end.

Ltac rational :=
  first
    [ reflexivity
    | ring
    | field; apart
    | match goal with |- context [sqrt ?c] =>
        let E := fresh in assert (E : sqrt c * sqrt c = c) by (apply sqrt_sqrt, Rlt_le; positive);
        first [ring [E] | field [E]; apart]
      end ].

Ltac equal :=
  rewrite ?delta_same; unfold Rdiv, Rminus;
  repeat rewrite sqrt_mult_alt by (apply Rlt_le; positive);
  repeat match goal with
  | |- context [exp ?a] =>
      match goal with
      | |- context [exp ?b] => tryif constr_eq a b then fail else replace (exp a) with (exp b) by (apply f_equal; rational)
      end
  end;
  rational.

(* sum n f = ?, where the deltas of what arrives are resolved. *)
Ltac vanish :=
  intros ? _ ?; cbv beta;
  match goal with H : ?k <> ?p |- _ => rewrite (delta_other k p H) end;
  repeat (apply sum_zero; intros ? ?; cbv beta); ring.

Ltac contract :=
  lazymatch goal with
  | |- ?a + ?b = _ => eapply plus_both; contract
  | |- sum 1 _ = _ => eapply eq_trans; [apply sum_one | cbv beta; contract]
  | |- sum ?n ?f = _ =>
      first
        [ match f with context [delta _ ?p] => eapply (sum_at n p); [lia | vanish | cbv beta; contract] end
        | eapply sum_ext; intros ? ?; cbv beta; contract ]
  | |- _ => reflexivity
  end.

(* E = ?, where sums are taken apart and factors are drawn inside. *)
Ltac spread :=
  cbv beta;
  lazymatch goal with
  | |- ?a + ?b = _ => eapply plus_both; spread
  | |- ?a - ?b = _ => eapply minus_both; spread
  | |- - ?a = _ => transitivity (-1 * a); [ring | spread]
  | |- ?a / ?b = _ => change (a / b) with (a * / b); spread
  | |- sum 1 _ = _ => eapply eq_trans; [apply sum_one | spread]
  | |- sum ?n ?f = _ => eapply eq_trans; [eapply sum_ext; intros ? ?; spread | split_sum]
  | |- (?a + ?b) * ?c = _ => eapply times_plus; spread
  | |- (?a - ?b) * ?c = _ => change (a - b) with (a + - b); spread
  | |- sum 1 ?f * ?c = _ => eapply eq_trans; [apply (f_equal (fun x => x * c)), sum_one | cbv beta; spread]
  | |- sum ?n ?f * ?c = _ => eapply eq_trans; [eapply times_sum; intros ? ?; spread | split_sum]
  | |- ?a * ?b = _ =>
      lazymatch a with
      | context [sum] => eapply eq_trans; [eapply (f_equal (fun x => x * b)); spread | cbv beta; spread_again]
      | _ => lazymatch b with context [sum] => rewrite (Rmult_comm a b); spread | _ => reflexivity end
      end
  | |- _ => reflexivity
  end
with spread_again :=
  lazymatch goal with
  | |- (_ + _) * _ = _ => spread
  | |- sum _ _ * _ = _ => spread
  | |- _ => reflexivity
  end
with split_sum :=
  lazymatch goal with
  | |- sum _ (fun k => _ + _) = _ => eapply sum_of_plus; split_sum
  | |- _ => reflexivity
  end.

(* Sums that are equal term by term. *)
Ltac term_by_term :=
  lazymatch goal with
  | |- sum ?n _ = sum ?n _ => apply sum_ext; intros ? ?; cbv beta; term_by_term
  | |- _ => equal
  end.

(* The same, where two sums that follow each other may have changed places; by rings alone, which is quick. *)
Ltac permuted :=
  cbv beta;
  lazymatch goal with
  | |- sum ?n (fun a => sum _ _) = sum _ _ =>
      first [ apply sum_ext; intros ? ?; permuted | rewrite sum_swap; apply sum_ext; intros ? ?; permuted ]
  | |- sum ?n _ = sum ?n _ => apply sum_ext; intros ? ?; permuted
  | |- _ => rewrite ?delta_same; ring
  end.

(* Each sum of the one side that stands, in other words, on the other side is written as it stands there. *)
Ltac met :=
  repeat match goal with
  | |- context [sum ?n ?f] =>
      match goal with
      | |- context [sum n ?g] => tryif constr_eq f g then fail else replace (sum n f) with (sum n g) by first [permuted | term_by_term]
      end
  end;
  equal.

Ltac adds_up :=
  first
    [ solve [term_by_term]
    | eapply eq_trans; [spread | symmetry; eapply eq_trans; [spread | met]] ].

(* The premisses of `partial_derivative`, for a program whose data are unfolded. Where two terms are compared, what
   computes is unfolded before what a program defines, and sums are not. *)
Strategy expand
  [differentiable each equations seq Nat.sub entries smooth inside inside_of occurrences map app filter flat_map fst snd
   adjoints adjoint users obeys over sums arriving same eval value slope domain Nat.eqb Nat.ltb Nat.leb forallb ordered
   opposite inverse power root real_power exponential logarithm sine cosine arctangent hyperbolic_tangent logistic
   error_function unit_step Z.of_nat Pos.of_succ_nat Pos.succ pred].
Strategy opaque [sum delta].

Ltac alone := repeat match goal with H : (0 <= ?k < 1)%Z |- _ => assert (k = 0%Z) by lia; subst k; clear H end.

Ltac separate :=
  repeat match goal with H : _ /\ _ |- _ => destruct H end;
  repeat match goal with |- _ /\ _ => split | |- True => exact I | |- forall _, _ => intro end;
  alone.

Tactic Notation "smoothly" reference(shapes) reference(bodies) reference(values) :=
  cbv [differentiable each equations seq Nat.sub entries smooth inside inside_of occurrences map app fst snd eval value
       domain opposite inverse power root real_power exponential logarithm sine cosine arctangent hyperbolic_tangent
       logistic error_function unit_step shapes bodies values];
  separate; first [lia | reflexivity | known | positive | apart].

Tactic Notation "obeyed" reference(shapes) reference(bodies) reference(values) :=
  cbv [obeys each equations seq Nat.sub entries shapes bodies values eval value opposite inverse power root real_power
       exponential logarithm sine cosine arctangent hyperbolic_tangent logistic error_function unit_step];
  separate; match goal with |- ?a = _ => opened a end; unfold Rminus, Rdiv; reflexivity.

Tactic Notation "adjoint_by_adjoint" reference(shapes) reference(bodies) reference(values) reference(bars) :=
  cbv [adjoints each equations seq Nat.sub entries adjoint users inside_of occurrences map app filter flat_map fst snd
       Nat.eqb over sums arriving same eval value slope opposite inverse power root real_power exponential logarithm sine
       cosine arctangent hyperbolic_tangent logistic error_function unit_step shapes bodies values bars
       Z.of_nat Pos.of_succ_nat Pos.succ pred];
  separate;
  match goal with |- ?b = _ => opened b end;
  (eapply eq_trans; [| symmetry; contract]);
  adds_up.

Tactic Notation "inputs_by_inputs" reference(shapes) reference(values) :=
  cbv [each seq entries shapes values]; separate; reflexivity.

(* What a line of a backward pass is: known lines are put in, then the definitions that a lemma names (`opening`). *)
Ltac opening H := idtac.

Lemma minus_each a b c d : a = c -> b = d -> a - b = c - d.
Proof. intros -> ->. reflexivity. Qed.

Lemma times_both a b c d : a = c -> b = d -> a * b = c * d.
Proof. intros -> ->. reflexivity. Qed.

Lemma over_both a b c d : a = c -> b = d -> a / b = c / d.
Proof. intros -> ->. reflexivity. Qed.

Lemma of_equal (f : R -> R) a b : a = b -> f a = f b.
Proof. intros ->. reflexivity. Qed.

Ltac lined :=
  cbv beta;
  lazymatch goal with
  | |- sum _ _ = _ => eapply sum_ext; intros ? ?; lined
  | |- _ + _ = _ => eapply plus_both; lined
  | |- _ - _ = _ => eapply minus_each; lined
  | |- _ * _ = _ => eapply times_both; lined
  | |- _ / _ = _ => eapply over_both; lined
  | |- - _ = _ => eapply (of_equal Ropp); lined
  | |- / _ = _ => eapply (of_equal Rinv); lined
  | |- ?a ^ ?n = _ => eapply (of_equal (fun x => x ^ n)); lined
  | |- exp _ = _ => eapply (of_equal exp); lined
  | |- ln _ = _ => eapply (of_equal ln); lined
  | |- sqrt _ = _ => eapply (of_equal sqrt); lined
  | |- tanh _ = _ => eapply (of_equal tanh); lined
  | |- sigmoid _ = _ => eapply (of_equal sigmoid); lined
  | |- step _ = _ => eapply (of_equal step); lined
  | |- ?e = _ =>
      let v := fresh in let H := fresh in let E := fresh in
      first
        [ assert (H : exists v, v = e) by (exists e; reflexivity); destruct H as [v H]; pose proof H as E;
          progress (autorewrite with lines in H; opening H);
          eapply eq_trans; [eapply eq_trans; [symmetry; exact E | exact H] | clear H E; lined]
        | reflexivity ]
  end.

Ltac by_lines regular :=
  alone;
  match goal with R : _ |- _ => let C := fresh in pose proof R as C; unfold regular in C;
    repeat match goal with H : _ /\ _ |- _ => destruct H end end;
  eapply eq_trans; [lined | symmetry; eapply eq_trans; [lined | symmetry; adds_up]].
