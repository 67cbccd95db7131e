"""Every tunable of the sequence solver, in one value."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class SequenceConfig:
    """How evidence and anatomy are weighed; scores are natural logarithms (nats).

    Attributes:
        presence_reference: mass of a place at which a vertebra and a false alarm are equally
            likely; false alarms outside the spine rarely reach 0.3.
        presence_slope: how fast the log odds of a vertebra grow with the log of the mass.
        shared_mass_weight: how much of the mass in other channels than the strongest counts. The
            network spreads the mass of one vertebra over neighbouring labels when it is unsure.
        mask_mass: mass of a place that a mask found and the heatmaps did not; those of vertebrae in
            coarse scans have 0.6 to 0.8.
        minimum_mass: places with less mass are ignored.
        minimum_peak: without a place of at least this mass there is no spine.
        minimum_presence: a chain whose places have less log odds by their mass, summed up, and
            explains less than `minimum_explained`, is none. Of ten real scans none had less than
            20, cylinders of bone density in water 1 and 5.
        minimum_explained: share of all that the heatmaps say that agrees with the chain within a
            level. Of ten real scans none had less than 0.89, such cylinders 0.05 and 0.34.
        end_mass: a chain begins and ends at places of at least this mass, because vertebrae that
            are cut by the border of the image, and S1, are seen faintly.
        relative_end_mass: the same as a share of the typical mass of the vertebrae in the image
            (the median of the places above `minimum_peak`); the smaller of both counts.
        maximum_places: only so many places, the heaviest, are considered.
        score_floor: added to the score of every channel, so that weak places say little of levels.
        confusion_levels: over how many levels the network's labels are blurred (decay length).
        confusion_floor: share of claims that are wrong by any number of levels.
        lag_share: share of vertebrae that the network counts a level too high, and as many too
            low: 10 of 400 in scans that it has not seen.
        lag_run: mean number of successive vertebrae with the same miscount.
        anchor_lag_cost: cost of a miscount at a vertebra beside the dens or the sacrum.
        start_cost: evidence that a chain needs before it is believed at all.
        skip_cost: cost of a vertebra inside the chain that was not detected.
        further_skip_cost: cost of each further one of a run (metal, metastases).
        maximum_skipped: longest run of undetected vertebrae that a chain bridges, 0 to 5.
        open_end_cost: cost of ending the chain at a vertebra that has a neighbour although the
            image continues; used where the extent of the image is given.
        minimum_distance_mm: smallest distance of neighbours (the paper's hard limit).
        maximum_distance_mm: largest distance of neighbours (the paper's hard limit).
        distance_tolerance_mm: the hard limits hold for true positions; measured ones may break them
            by so much. Without it 3 % of the cervical neighbours of VerSe, whose smallest distance
            is 11 mm, were lost to localisation errors of 1.5 mm.
        distance_ratios: smallest and largest distance of neighbours over the usual one of their
            levels at the size of the body, but for `distance_tolerance_mm`. Of
            17,000 in real spines 7 lie below 0.70, the end of what a fracture does, and none above
            1.5 but where a level is absent; a vertebra that is found twice lies at 0.3 to 0.6.
        localisation_sd_mm: error of a place along each axis.
        link_bonus: evidence of a typical offset; false alarms rarely lie just so.
        residual_variance: share of the variance of offsets that is left when the size and tilt of
            the body are known. The likelihood of real courses is best at 0.3 to 0.5; 0.7 costs
            them 0.05 nats a pair and leaves room for curved spines.
        tail_freedom: degrees of freedom of the Student distribution of offsets, whose heavy tails
            stand for scoliosis and fractures.
        minimum_link: links less likely than this do not exist.
        scale_limits: smallest and largest size of a body relative to the mean.
        scale_step: logarithmic step between the sizes that are tried.
        sagittal_tilt_sd_deg: spread of the tilt of the whole spine around the left-right axis.
        coronal_tilt_sd_deg: spread of the tilt around the front-back axis.
        sagittal_tilts_deg: tilts that are tried; ascending.
        coronal_tilts_deg: tilts that are tried; ascending.
        pose_cost_limit: the largest cost of an unusual size or tilt, each.
        direction_margin: a chain that is better than the best one upside down by less than this,
            in nats per vertebra, is reported as doubtful. Of ten real scans none had less than
            4.0, and of seven mirrored from top to bottom none had more than 2.0.
        variant_margin: a numbering variant is chosen if it is better than the best chain of usual
            numbering by at least this; otherwise that one is, and the variant is its rival. It is
            named as a possible shift, too, where it is worse by less than this.
        shift_margin: a smaller margin to the best rival labelling is reported as a possible shift.
        last_rib_shift_margin: the same where neither dens, first rib nor sacrum is in view. Of 43
            windows of six vertebrae, 23 real ones that were not trained on and 20 synthetic ones,
            six were named wrongly, at margins of up to 4.1.
    """

    presence_reference: float = 0.3
    presence_slope: float = 4.0
    shared_mass_weight: float = 0.7
    mask_mass: float = 0.6
    minimum_mass: float = 0.1
    minimum_peak: float = 0.3
    minimum_presence: float = 6.0
    minimum_explained: float = 0.5
    end_mass: float = 0.35
    relative_end_mass: float = 0.5
    maximum_places: int = 60
    score_floor: float = 0.01
    confusion_levels: float = 0.3
    confusion_floor: float = 0.004
    lag_share: float = 0.015
    lag_run: float = 5.0
    anchor_lag_cost: float = 2.0
    start_cost: float = 5.0
    skip_cost: float = 3.5
    further_skip_cost: float = 2.0
    maximum_skipped: int = 3
    open_end_cost: float = 4.5
    minimum_distance_mm: float = 12.5
    maximum_distance_mm: float = 50.0
    distance_tolerance_mm: float = 2.5
    distance_ratios: tuple[float, float] = (0.7, 1.5)
    localisation_sd_mm: float = 1.5
    link_bonus: float = 2.0
    residual_variance: float = 0.7
    tail_freedom: float = 5.0
    minimum_link: float = -15.0
    scale_limits: tuple[float, float] = (0.7, 1.3)
    scale_step: float = 0.05
    sagittal_tilt_sd_deg: float = 12.0
    coronal_tilt_sd_deg: float = 8.0
    sagittal_tilts_deg: tuple[float, ...] = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)
    coronal_tilts_deg: tuple[float, ...] = (-20.0, 0.0, 20.0)
    pose_cost_limit: float = 6.0
    direction_margin: float = 2.5
    variant_margin: float = 4.0
    shift_margin: float = 3.0
    last_rib_shift_margin: float = 5.0

    def __post_init__(self) -> None:
        """Refuse values without meaning.

        Raises:
            ValueError: naming the value.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            signed = field.name in ("minimum_link", "sagittal_tilts_deg", "coronal_tilts_deg")
            if isinstance(value, float | int) and not signed and value < 0:
                raise ValueError(f"{field.name} must not be negative, got {value}")
        if self.maximum_skipped not in range(6):
            raise ValueError(f"maximum_skipped must lie in 0..5, got {self.maximum_skipped}")
        if not 0 < self.minimum_distance_mm < self.maximum_distance_mm:
            raise ValueError("minimum_distance_mm must be below maximum_distance_mm")
